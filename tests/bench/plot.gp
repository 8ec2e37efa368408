# One chart of bars side by side, a colour per proxy. Set by the caller: data, chart, heading, xname, yname, n (how many
# proxies), logarithmic (for figures a hundred times apart).
set datafile separator ","
set datafile missing "?"
set terminal svg size 900,430 font "sans-serif,13" background "white"
set output chart
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set boxwidth 0.9
set grid ytics linetype 1 linecolor rgb "#dddddd"
set format y "%.0f"
set border 3 linecolor rgb "#888888"
set xtics nomirror scale 0
set ytics nomirror
set key outside top center horizontal
set title heading
set xlabel xname
set ylabel yname
array colour[14] = ["#c8102e", "#f28c96", "#8a0b20", "#f7c0c5", "#1b7837", "#2166ac", "#8c8c8c", "#8fc79f", "#8fb8dc", "#c4c4c4", "#0b4a20", "#123a66", "#555555", "#e0a030"]
if (logarithmic) set logscale y; else set yrange [0:*]
plot for [i=1:n] data using i+1:xtic(1) title columnheader(i+1) linecolor rgb colour[(i-1)%14+1]
