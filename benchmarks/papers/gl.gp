# folder: where gl.tsv lies and gl.svg goes.
set datafile separator "\t"
set terminal svg size 900,420 font "Helvetica,12" background "white"
set output folder . "/gl.svg"
set style line 1 lc rgb "#1b6ca8" pt 7 ps 0.6
set style line 2 lc rgb "#d1495b" pt 5 ps 0.6
set style line 9 lc rgb "#999999" lw 1
set grid lc rgb "#e5e5e5"
set key top left samplen 1
set multiplot layout 1,2
of(kind) = sprintf("< awk -F'\\t' 'NR == 1 || $5 == %d' %s/gl.tsv", kind, folder)
set xlabel "foretold, dB"; set ylabel "measured, dB"
set title "cost of the error"
plot x ls 9 notitle, of(0) using "cost_foretold":"cost" with points ls 1 title "linear observables", of(1) using "cost_foretold":"cost" with points ls 2 title "energy, spectrum"
set title "gain of the observable"
plot x ls 9 notitle, of(0) using "gain_foretold":"gain" with points ls 1 notitle, of(1) using "gain_foretold":"gain" with points ls 2 notitle
unset multiplot
