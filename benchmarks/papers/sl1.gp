# folder: where sl1.tsv lies and sl1.svg goes.
set datafile separator "\t"
set terminal svg size 560,420 font "Helvetica,12" background "white"
set output folder . "/sl1.svg"
set style line 1 lc rgb "#1b6ca8" pt 7 ps 0.6
set style line 2 lc rgb "#d1495b" pt 5 ps 0.6
set style line 3 lc rgb "#66a182" pt 9 ps 0.7
set style line 9 lc rgb "#999999" lw 1
set grid lc rgb "#e5e5e5"
set key top left samplen 1
set logscale xy
set xlabel "ratio, decoder not counted (open: counted)"; set ylabel "chi^2/m of I(q)"
of(kind) = sprintf("< awk -F'\\t' 'NR == 1 || $1 == \"%s\"' %s/sl1.tsv", kind, folder)
plot 1.1 ls 9 title "1.1", for [i=1:3] of(word("sparse dense transform", i)) using "ratio":"chi2" with points ls i title word("sparse dense transform", i), \
  for [i=1:2] of(word("sparse dense", i)) using "ratio_all":"chi2" with points lc rgb word("#1b6ca8 #d1495b", i) pt (i == 1 ? 6 : 4) ps 0.6 notitle
