# folder: where igc.tsv and igc-codecs.tsv lie and igc.svg goes.
set datafile separator "\t"
set terminal svg size 900,400 font "Helvetica,12" background "white"
set output folder . "/igc.svg"
set style line 1 lc rgb "#1b6ca8" pt 7 ps 0.6 lw 2
set style line 2 lc rgb "#d1495b" pt 5 ps 0.6 lw 2
set style line 3 lc rgb "#66a182" pt 9 ps 0.7 lw 2
set style line 9 lc rgb "#999999" lw 1
set grid lc rgb "#e5e5e5"
set key below samplen 1.5
set multiplot layout 1,2
set logscale y
set xlabel "I(X; Z | Y), bits"; set ylabel "CDNV"
set title "networks on turb2d and digits (dashed)"
cells(d, s) = sprintf("< awk -F'\\t' 'NR == 1 || ($1 == \"%s\" && $2 == \"%s\")' %s/igc.tsv", d, s, folder)
plot for [i=1:3] cells("turb2d", word("ceb dropout noise", i)) using "bits":"cdnv" with linespoints ls i title word("bottleneck dropout noise", i), \
  for [i=1:3] cells("digits", word("ceb dropout noise", i)) using "bits":"cdnv" with linespoints ls i dt 2 notitle
set logscale x
set xlabel "bits per patch"; set ylabel "CDNV of energies"
set title "transform codes along the rate"
rates(d) = sprintf("< awk -F'\\t' 'NR == 1 || ($1 == \"%s\" && $2 == \"rate\")' %s/igc-codecs.tsv", d, folder)
plot for [i=1:3] rates(word("turb3d turb2d taylorgreen", i)) using "code":"cdnv_energies" with linespoints ls i title word("turb3d turb2d taylorgreen", i)
unset multiplot
