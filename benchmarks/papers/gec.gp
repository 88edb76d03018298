# folder: where gec.tsv and gec-codecs.tsv lie and gec.svg goes.
set datafile separator "\t"
set terminal svg size 900,480 font "Helvetica,12" background "white"
set output folder . "/gec.svg"
set style line 1 lc rgb "#1b6ca8" pt 7 ps 0.6 lw 2
set style line 2 lc rgb "#d1495b" pt 5 ps 0.6 lw 2
set style line 3 lc rgb "#66a182" pt 9 ps 0.7 lw 2
set style line 9 lc rgb "#999999" lw 1
set grid lc rgb "#e5e5e5"
set key below reverse Left samplen 1.5 maxrows 4
set multiplot layout 1,2
set logscale x
set xlabel "capacity, nats" offset 0,0.7; set ylabel "nats of log distance; orthogonality"
set title "networks: mean of the seeds"
plot [0.25:12] 0 ls 9 notitle, folder . "/gec.tsv" using "capacity":"proto_task" with linespoints ls 1 title "prototypization by the task", \
  "" using "capacity":"proto_bare" with linespoints ls 1 dt 2 title "the same without floor", \
  "" using "capacity":"special_bias" with linespoints ls 2 title "specialization by frequency", "" using "capacity":"omega_tasks" with linespoints ls 3 title "orthogonality of two tasks"
set xlabel "bits per patch" offset 0,0.7; set ylabel "nats of log distance"
set title "transform codes: energies of bands"
energies(d) = sprintf("< awk -F'\\t' 'NR == 1 || ($1 == \"%s\" && $2 == \"energies\")' %s/gec-codecs.tsv", d, folder)
plot 0 ls 9 notitle, for [i=1:3] energies(word("turb3d turb2d taylorgreen", i)) using "bits":"prototypization" with linespoints ls i title word("turb3d turb2d taylorgreen", i) . ": prototypization", \
  for [i=1:3] energies(word("turb3d turb2d taylorgreen", i)) using "bits":"specialization" with linespoints ls i dt 2 title "specialization (dashed)"
unset multiplot
