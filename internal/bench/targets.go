package main

import (
	"fmt"
	"slices"
	"time"
)

// cdkPeer is the stack that the project began with.
const cdkPeer = "cdk synth, docker bundling + zip -6"

// target is what a figure has to be.
type target struct {
	what      string
	got, want float64
	atLeast   bool
	unit      string
}

// targets writes what the figures have to be, and what they are.
func (b *bench) targets(p *page) {
	times := func(what string, got, want float64) target { return target{what, got, want, false, " ×"} }
	ahead := func(what string, got, want float64) target { return target{what, got, want, true, " ×"} }
	within := func(what string, got time.Duration, want float64) target {
		return target{what, got.Seconds() * 1000, want, false, " ms"}
	}
	own := func(workload, scenario string) time.Duration { return b.wall(workload, ours, scenario) }
	dataZip, _ := b.find("data", ours, cold)
	infoZip, _ := b.find("data", baseline, cold)
	limits := map[string]limit{}
	for _, l := range b.limits {
		limits[l.workload] = l
	}
	list := []target{
		times("sample, cold, to uv + zip -6", ratio(own("sample", cold), b.wall("sample", baseline, cold)), 1.15),
		times("sample, cold, nothing downloaded, to uv + zip -6", ratio(own("sample", nothingDownloaded), b.wall("sample", baseline, nothingDownloaded)), 1.15),
		ahead("sample, cold, ahead of every peer but uv + zip", b.lead(cold), 3),
		ahead("sample, cold, ahead of the CDK stack", ratio(b.wall("sample", cdkPeer, cold), own("sample", cold)), 30),
		ahead("sample, nothing changed, ahead of every peer", b.lead(unchanged), 25),
		ahead("sample, one line changed, ahead of every peer", b.lead(lineChanged), 25),
		times("data, cold, to uv + zip -6", ratio(own("data", cold), b.wall("data", baseline, cold)), 0.6),
		times("data, size of the zip, to zip -6", ratio(dataZip.zip, infoZip.zip), 1.04),
		within("sample, nothing changed", own("sample", unchanged), 30),
		within("data, nothing changed", own("data", unchanged), 100),
		within("sample, one line changed", own("sample", lineChanged), 40),
		within("data, one line changed", own("data", lineChanged), 100),
		ahead("data, one line changed, ahead of uv + zip -6", ratio(b.wall("data", baseline, cold), own("data", lineChanged)), 100),
		// No more than the copy, which itself takes a tenth more or less from run to run.
		times("one line changed, data's time beyond the sample's, to a kernel copy of the zip in place of an older one", ratio(limits["data"].line-limits["sample"].line, limits["data"].copy), 1.1),
		times("data, one requirement changed, to uv and deflating that wheel", ratio(own("data", pinChanged), b.wall("data", uvAndDeflate, pinChanged)), 1.3),
		times("50 functions, cold, to their 5 sets", ratio(own("many", cold), own("many", fiveSets)), 1.2),
		times("500 functions, every source new, to kernel copies of their zips in place of older ones", ratio(own("many", allNew500), b.wall("many", kernelCopy, copies500)), 1.1),
		{"peak memory of the bundle process, in every case", b.peakOfAll(), 64, false, " MB"},
		within("the program, nothing changed", b.program.whole, 100),
	}
	p.line("\n## What it has to be\n")
	p.table("figure", "target", "measured", "")
	for _, t := range list {
		p.row(t.cells()...)
	}
}

func (t target) cells() []string {
	word, met := "at most ", t.got <= t.want
	if t.atLeast {
		word, met = "at least ", t.got >= t.want
	}
	verdict := "**missed**"
	switch {
	case t.got == 0:
		return []string{t.what, word + fmt.Sprint(t.want) + t.unit, "not measured", ""}
	case met:
		verdict = "met"
	}
	return []string{t.what, word + fmt.Sprint(t.want) + t.unit, fmt.Sprintf("%.4g", t.got) + t.unit, verdict}
}

// lead is how many times as long as ours the fastest peer takes for the sample; 0 where none was measured.
func (b *bench) lead(scenario string) float64 {
	var all []float64
	for _, tool := range b.peersOf("sample") {
		if tool == baseline && scenario == cold || tool == dockerBuilder {
			continue
		}
		name := scenario
		if tool == baseline {
			name = cold
		}
		if r, found := b.find("sample", tool, name); found {
			all = append(all, ratio(r.median.wall, b.wall("sample", ours, scenario)))
		}
	}
	if len(all) == 0 {
		return 0
	}
	return slices.Min(all)
}

// peakOfAll is the most memory that the bundler took, in MB (2^20 bytes).
func (b *bench) peakOfAll() float64 {
	var most int64
	for _, r := range b.results {
		if r.tool == ours {
			most = max(most, r.median.memory)
		}
	}
	return float64(most) / (1 << 20)
}
