package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/pace"
	"github.com/seed-290c2414/hourglass/internal/pace/pacetest"
)

// A chart has logarithmic axes: the mean delay in seconds to the right, polls per render upwards.
type chart struct {
	strings.Builder
}

const (
	width, height = 760, 470
	left, bottom  = 60, 420
	right, top    = 560, 30
)

func (c *chart) x(delay float64) float64 {
	return left + (right-left)*math.Log(delay/0.2)/math.Log(20/0.2)
}

func (c *chart) y(polls float64) float64 {
	return bottom - (bottom-top)*math.Log(polls)/math.Log(250)
}

func (c *chart) add(format string, a ...any) { _, _ = fmt.Fprintf(c, format+"\n", a...) }

func (c *chart) label(x, y float64, color, text string) {
	c.add(`<text x="%.0f" y="%.0f" fill="%s">%s</text>`, x, y, color, text)
}

func (c *chart) curve(color string, points []pacetest.Cost) {
	at := make([]string, len(points))
	for i, p := range points {
		at[i] = fmt.Sprintf("%.1f,%.1f", c.x(p.Delay), c.y(p.Polls))
	}
	c.add(`<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`, color, strings.Join(at, " "))
}

func (c *chart) dot(color string, p pacetest.Cost, text string) {
	c.add(`<circle cx="%.1f" cy="%.1f" r="4.5" fill="%s"/>`, c.x(p.Delay), c.y(p.Polls), color)
	c.label(c.x(p.Delay)+8, c.y(p.Polls)-6, color, text)
}

func (c *chart) axes(title string) {
	c.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, width, height, width, height)
	c.add(`<rect width="%d" height="%d" fill="#fff"/>`, width, height)
	for _, delay := range []float64{0.2, 0.5, 1, 2, 5, 10, 20} {
		c.add(`<line x1="%.0f" x2="%.0f" y1="%d" y2="%d" stroke="#ddd"/>`, c.x(delay), c.x(delay), top, bottom)
		c.label(c.x(delay)-8, bottom+18, "#444", fmt.Sprint(delay))
	}
	for _, polls := range []float64{1, 2, 5, 10, 20, 50, 100, 200} {
		c.add(`<line x1="%d" x2="%d" y1="%.0f" y2="%.0f" stroke="#ddd"/>`, left, right, c.y(polls), c.y(polls))
		c.label(left-30, c.y(polls)+4, "#444", fmt.Sprint(polls))
	}
	c.label(left, top-10, "#000", title)
	c.label(left+150, bottom+38, "#000", "mean delay from ready to noticed, seconds")
	c.add(`<text transform="translate(18 %d) rotate(-90)">polls per render</text>`, (top+bottom)/2+40)
}

// draw draws what polls and delay can be had for each other.
func draw() string {
	const fixedColor, limitColor, oursColor, toldColor = "#b45309", "#6b7280", "#1d4ed8", "#047857"
	op, _ := operations.Lookup("face-swap")
	r := pacetest.Renders{Median: op.Typical.Seconds(), Sigma: usualScatter}
	var c chart
	c.axes(fmt.Sprintf("%s: median %v, lognormal, sigma %v", op.Name, op.Typical, usualScatter))
	var fixed, limit, ours []pacetest.Cost
	for delay := 0.25; delay < 20; delay *= 1.25 {
		_, cost := r.EveryAt(delay)
		fixed = append(fixed, cost)
		limit = append(limit, pacetest.Cost{Polls: r.Optimum(delay), Delay: delay})
	}
	for _, trade := range []string{"1%", "1500ms", "2s", "3%", "5%", "8%", "12%", "18%"} {
		f := fleet(op)
		f.Aim.Trade, _ = pace.ParseTrade(trade)
		f.Run(r, 200)
		ours = append(ours, f.Run(r, 4000).Cost)
	}
	c.curve(fixedColor, fixed)
	c.curve(limitColor, limit)
	c.curve(oursColor, ours)
	c.dot(fixedColor, r.Every(0.5), "SDK, every 0.5 s")
	c.dot(fixedColor, r.Every(2), "CLI, every 2 s")
	c.dot(fixedColor, r.Every(5), "advice, every 5 s")
	c.dot(oursColor, ours[3], "Hourglass")
	f := fleet(op)
	f.Told = 1
	f.Run(r, 200)
	c.dot(toldColor, f.Run(r, 2000).Cost, "all webhooks come")
	for i, entry := range []struct{ color, text string }{{fixedColor, "fixed interval"}, {oursColor, "Hourglass, learnt"}, {limitColor, "the limit for any plan"}, {toldColor, "Hourglass with webhooks"}} {
		c.add(`<rect x="%d" y="%d" width="14" height="4" fill="%s"/>`, right+20, top+20+22*i, entry.color)
		c.label(right+42, float64(top+26+22*i), "#000", entry.text)
	}
	c.add("</svg>")
	return c.String()
}
