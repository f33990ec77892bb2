package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report writes the page: what matters first, then what it was asked for, then everything.
func (b *bench) report() string {
	var p page
	p.line("# Benchmarks\n")
	p.line("Written by `make bench` on %s: medians of %d runs, fewer only where a column says so; ratios are to `uv pip install --target` and", time.Now().UTC().Format("2006-01-02"), b.runs)
	p.line("`zip -6` of the same workload in the same run. Everybody makes a zip for python3.11 on arm64 from the same pinned requirements.")
	p.line("Machine: %s/%s, %d cores, %s, %s. Containers run arm64 code under emulation where the machine is not arm64.\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), machine(), runtime.Version())
	b.overview(&p)
	b.targets(&p)
	b.details(&p)
	b.physical(&p)
	b.share(&p)
	p.line("\n## Versions\n")
	p.table("tool", "version")
	for _, t := range b.tools {
		p.row(t[0], t[1])
	}
	return p.String()
}

// page is Markdown.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }
func (p *page) row(cells ...string)             { p.line("| %s |", strings.Join(cells, " | ")) }
func (p *page) table(names ...string) {
	p.row(names...)
	p.line("%s|", strings.Repeat("|---", len(names)))
}

// find returns a row that was measured.
func (b *bench) find(workload, tool, scenario string) (result, bool) {
	i := slices.IndexFunc(b.results, func(r result) bool {
		return r.workload == workload && r.tool == tool && r.scenario == scenario && r.reason == ""
	})
	if i < 0 {
		return result{}, false
	}
	return b.results[i], true
}

func (b *bench) wall(workload, tool, scenario string) time.Duration {
	r, _ := b.find(workload, tool, scenario)
	return r.median.wall
}

// peersOf lists the tools of a workload that are no part of this project's wheels builder, in their order.
func (b *bench) peersOf(workload string) []string {
	var names []string
	for _, r := range b.results {
		if r.workload == workload && r.tool != ours && r.tool != uvAndDeflate && !slices.Contains(names, r.tool) {
			names = append(names, r.tool)
		}
	}
	return names
}

// overview is ours against each peer.
func (b *bench) overview(p *page) {
	p.line("## Ours against each peer\n")
	p.line("Seconds, and how many times what `bundle build` takes. Downloads are cached for all but the CDK, whose container keeps none, and pex, which keeps\nthem with what it builds.\n")
	p.table("the sample", cold, unchanged, lineChanged)
	cases := []string{cold, unchanged, lineChanged}
	b.overviewRow(p, "sample", "**"+ours+"**", ours, cases)
	for _, tool := range b.peersOf("sample") {
		b.overviewRow(p, "sample", tool, tool, cases)
	}
	for _, w := range workloads[1:] {
		if b.wall(w.name, ours, cold) == 0 {
			continue
		}
		p.line("")
		p.table(w.name+": "+w.what, cold)
		b.overviewRow(p, w.name, "**"+ours+"**", ours, cases[:1])
		for _, tool := range b.peersOf(w.name) {
			b.overviewRow(p, w.name, tool, tool, cases[:1])
		}
	}
}

func (b *bench) overviewRow(p *page, workload, label, tool string, cases []string) {
	cells := []string{label}
	for _, c := range cases {
		name := c
		if tool == baseline {
			name = cold // it always does everything
		}
		r, found := b.find(workload, tool, name)
		own := b.wall(workload, ours, c)
		switch {
		case !found:
			cells = append(cells, "cannot run, see below")
		case tool == ours:
			cells = append(cells, seconds(r.median.wall))
		default:
			cells = append(cells, fmt.Sprintf("%s (%s ×)", seconds(r.median.wall), digits(ratio(r.median.wall, own))))
		}
	}
	p.row(cells...)
}

// details are all rows.
func (b *bench) details(p *page) {
	p.line("\n## Every case\n")
	p.line("Time and CPU time (user and system, of all processes) are medians; read and written are the bytes of all read, write and kernel-copy")
	p.line("calls of the processes (`/proc/self/io`); memory is the peak of the bundle process alone, without uv (its own `VmHWM`, asked for every")
	p.line("0.2 ms in one more run). What works in a daemon has no CPU time and bytes here. Caches of downloads are warm in all cases but %q;", nothingDownloaded)
	p.line("files are in the page cache, and dirty pages are written before each run. In %q, %q and %q no", unchanged, lineChanged, cacheWarm)
	p.line("program is on PATH. %q has the restored cache at another path, with other times, and is held to the same digest.\n", freshRunner)
	p.table("workload", "tool", "case", "runs", "time", "ratio", "CPU", "read", "written", "memory", "zip", "zip ratio")
	for _, r := range b.results {
		if r.reason != "" {
			p.row(r.workload, r.tool, "cannot run: "+r.reason, "", "", "", "", "", "", "", "", "")
			continue
		}
		against, name := baseline, cold
		if r.scenario == nothingDownloaded {
			name = nothingDownloaded
		}
		base, _ := b.find(r.workload, against, name)
		m := r.median
		p.row(r.workload, r.tool, r.scenario, fmt.Sprint(r.runs), seconds(m.wall), digits(ratio(m.wall, base.median.wall)), seconds(m.cpu),
			megabytes(m.read), megabytes(m.written), megabytes(m.memory), megabytes(r.zip), three(ratio(r.zip, base.zip)))
	}
}

// physical is the distance to what the machine allows.
func (b *bench) physical(p *page) {
	if len(b.limits) == 0 {
		return
	}
	p.line("\n## How far from the limit\n")
	p.line("The least work for a cold build: uv's own install, and deflating (level %d, blocks of %d MiB, all cores, content in memory). The least", deflateLevel, blockSize>>20)
	p.line("for one changed line: a process that starts, a copy of the zip by the kernel, and the removal of the one before; the copy and ours are")
	p.line("measured in turn.\n")
	p.table("workload", "files", "read", "written", "uv alone", "deflate", "MB/s", "SHA-256 of the zip", "kernel copy", "start of a process", "cold, least", "cold, ours", "distance", "one line, least", "one line, ours", "distance")
	for _, l := range b.limits {
		least, own := l.install+l.deflate, b.wall(l.workload, ours, cold)
		small := l.start + l.copy
		p.row(l.workload, fmt.Sprint(l.files), megabytes(l.unzipped), megabytes(l.zipped), seconds(l.install), seconds(l.deflate),
			fmt.Sprintf("%.0f", float64(l.unzipped)/1e6/l.deflate.Seconds()), seconds(l.hash), seconds(l.copy), seconds(l.start),
			seconds(least), seconds(own), digits(ratio(own, least))+" ×", seconds(small), seconds(l.line), digits(ratio(l.line, small))+" ×")
	}
}

// share is the program's.
func (b *bench) share(p *page) {
	p.line("\n## The program's share of a preview\n")
	switch {
	case b.program.reason != "":
		p.line("Not measured: %s", b.program.reason)
	case b.program.whole == 0:
		p.line("Not measured in this run.")
	default:
		p.line("The built program, with nothing changed, against an engine that answers every call at once (real gRPC, no plugins): %s from its start to its", seconds(b.program.first))
		p.line("first resource, %s to its end, with %d resources registered.", seconds(b.program.whole), b.program.resources)
		p.line("\n## A layer or none\n")
		p.line("The same program after one changed line of its function, and what AWS Lambda does not have yet. The network and Lambda come on top.\n")
		p.table("workload", "layer", "the program", "upload")
		for _, l := range b.program.layers {
			p.row(l.workload, fmt.Sprint(l.layer), seconds(l.whole), fmt.Sprintf("%d bytes", l.upload))
		}
	}
}

// seconds writes a duration with three significant digits or milliseconds.
func seconds(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func megabytes(n int64) string {
	if n <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// ratio is 0 where one of the two is not known.
func ratio[T time.Duration | int64](a, b T) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// three writes a ratio that is near 1.
func three(f float64) string {
	if f == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f", f)
}

func digits(f float64) string {
	switch {
	case f == 0:
		return "–"
	case f < 0.1:
		return fmt.Sprintf("%.3f", f)
	case f < 10:
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.0f", f)
}
