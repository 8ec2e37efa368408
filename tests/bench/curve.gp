# One chart of curves, a colour per proxy, over what grows tenfold. Set by the caller: data, chart, heading, xname, yname, n
# (how many proxies).
set datafile separator ","
set datafile missing "?"
set terminal svg size 700,430 font "sans-serif,13" background "white"
set output chart
set grid linetype 1 linecolor rgb "#dddddd"
set border 3 linecolor rgb "#888888"
set logscale x
set format x "%.0f"
set format y "%.0f"
set yrange [0:*]
set xtics nomirror
set ytics nomirror
set key outside top center horizontal
set title heading
set xlabel xname
set ylabel yname
array colour[7] = ["#c8102e", "#f28c96", "#1b7837", "#2166ac", "#8fc79f", "#8fb8dc", "#8c8c8c"]
plot for [i=1:n] data using 1:i+1 title columnheader(i+1) with linespoints pointtype 7 pointsize 0.6 linewidth 2 linecolor rgb colour[(i-1)%7+1]
