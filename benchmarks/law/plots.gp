# Plots of docs/results/law.md; folder: where the tables lie, plots: where the pictures go.
set datafile separator "\t"
set terminal pngcairo size 1000,440 font "Helvetica,11" background "white"
set style line 1 lc rgb "#1b6ca8" pt 7 ps 0.45
set style line 2 lc rgb "#d1495b" pt 5 ps 0.45
set style line 3 lc rgb "#66a182" pt 9 ps 0.6
set style line 4 lc rgb "#8d6b94" pt 11 ps 0.6
set style line 5 lc rgb "#e09f3e" pt 13 ps 0.6
set style line 6 lc rgb "#2e4057" pt 4 ps 0.6
set style line 9 lc rgb "#999999" lw 1
set grid lc rgb "#e5e5e5"
set key top left reverse Left samplen 1
points = folder . "/all-points.tsv"
cells = folder . "/all-cells.tsv"

set output plots . "/points.png"
set multiplot layout 1,2
set xlabel "cost predicted, dB"; set ylabel "cost measured, dB"
plot [0:3.5][0:3.5] x ls 9 notitle, \
  for [i=1:3] points using (column("psnr") == 40 + 20 * i ? column("costpred") : NaN):"cost" ls i title sprintf("%d dB", 40 + 20 * i)
set xlabel "gain predicted, dB"; set ylabel "gain measured, dB"
plot [0:28][0:28] x ls 9 notitle, \
  for [i=1:3] points using (column("psnr") == 40 + 20 * i ? column("gainpred") : NaN):"gain":"gainerror" with yerrorbars ls i lw 0.5 notitle
unset multiplot

set output plots . "/curves.png"
set key bottom right
chosen(o) = strcol("domain") eq "3-D turbulence" && strcol("codec") eq "lot16" && strcol("observable") eq o && column("psnr") == 80
set multiplot layout 1,2
set xlabel "cost, dB of PSNR"; set ylabel "gain, dB of the observable's squared error"
do for [panel in "'box(size=16) box(size=8) potential' 'divergence vorticity dissipation'"] {
  plot [0:*][0:*] for [i=1:3] points using (chosen(word(panel, i)) ? column("costpred") : NaN):"gainpred" with lines ls i lw 1.5 notitle, \
    for [i=1:3] points using (chosen(word(panel, i)) ? column("cost") : NaN):"gain" with points ls i ps 1 title word(panel, i)
}
unset multiplot

set output plots . "/diagnostics.png"
set key top left
set multiplot layout 1,2
names = "'3-D turbulence' '2-D turbulence' 'hurricane' 'scattering' 'Taylor-Green'"
set ylabel "gain at 0.5 dB cost, dB"
set xlabel "CV^2"; set logscale x; set format x "10^{%T}"
plot [1e-3:*][-1:30] for [i=1:5] cells using (strcol("domain") eq word(names, i) ? (column("cv2") > 1e-3 ? column("cv2") : 1.2e-3) : NaN):"gain05" ls i title word(names, i)
unset logscale x; set format x "%g"
set xlabel "overlap, prior-whitened, corrected for chance"
plot [*:1][-1:30] for [i=1:5] cells using (strcol("domain") eq word(names, i) ? column("corrected") : NaN):"gain05" ls i notitle
unset multiplot

set output plots . "/radius.png"
set key top left
radius = folder . "/radius-0.tsv"
set datafile missing "NaN"
set xlabel "PSNR of step^2/12, dB"; set ylabel "tr(G S) / measured"
shown = "PSNR box(size=16) vorticity divergence gradient potential"
plot [135:95][0.85:1.3] 1.2 ls 9 dt 2 notitle, 1 ls 9 notitle, \
  for [i=1:6] radius using (strcol("observable") eq word(shown, i) && strcol("field") eq "turb3d velocity" ? column("psnr") : NaN):(1 + column("error")) with linespoints ls i title word(shown, i), \
  for [i=1:6] radius using (strcol("observable") eq word(shown, i) && strcol("field") ne "turb3d velocity" ? column("psnr") : NaN):(1 + column("error")) with linespoints ls i dt 3 notitle
