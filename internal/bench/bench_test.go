package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuickRunReportsEveryCase runs the sample once, ours and the baseline, with the real uv and zip.
func TestQuickRunReportsEveryCase(t *testing.T) {
	root := filepath.Join("..", "..")
	b := &bench{ctx: t.Context(), runs: 1, root: root, peers: "none"}
	out := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := b.with(func() error { return b.write(out, b.measureWorkload(workloads[0])) }); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"| **bundle** | ", "| uv + zip -6 | ",
		"| sample | uv + zip -6 | " + nothingDownloaded + " | 1 |", "| sample | uv + zip -6 | " + cold + " | 1 |",
		"| sample | bundle | " + nothingDownloaded + " | 1 |", "| sample | bundle | " + cold + " | 1 |", "| sample | bundle | " + unchanged + " | 1 |",
		"| sample | bundle | " + lineChanged + " | 1 |", "| sample | bundle | " + cacheWarm + " | 1 |", "| sample | bundle | " + freshRunner + " | 1 |",
		"| sample | bundle | " + pinChanged + " | 1 |", "| sample | " + uvAndDeflate + " | " + pinChanged + " | 1 |", "| uv | 0.",
	} {
		if !strings.Contains(string(text), row) {
			t.Errorf("the report has no row %q", row)
		}
	}
	if strings.Contains(string(text), "cannot run") || len(b.limits) != 1 {
		t.Errorf("got %d rows of limits, want 1, and no tool that cannot run:\n%s", len(b.limits), text)
	}
	least, _ := b.find("sample", ours, unchanged)
	most, _ := b.find("sample", ours, nothingDownloaded)
	if least.median.wall <= 0 || least.median.wall >= most.median.wall {
		t.Errorf("nothing changed takes %v and nothing downloaded %v: want less", least.median.wall, most.median.wall)
	}
	t.Logf("%s", text)
}

// TestAPeerThatCannotRunIsARowWithItsReason has no pinned requirements to install peers from.
func TestAPeerThatCannotRunIsARowWithItsReason(t *testing.T) {
	b := &bench{ctx: t.Context(), runs: 1, root: t.TempDir(), kept: t.TempDir(), dir: t.TempDir()}
	b.measurePeers(workloads[0], t.TempDir())
	if len(b.results) != len(peers) {
		t.Fatalf("got %d rows, want one for each of %d peers", len(b.results), len(peers))
	}
	report := b.report()
	for _, p := range peers[:6] {
		if !strings.Contains(report, "| sample | "+p.name+" | cannot run: ") {
			t.Errorf("the report does not say why %s cannot run:\n%s", p.name, report)
		}
	}
}

func TestAZipWithoutCodeForTheTargetIsNoResult(t *testing.T) {
	for _, c := range []struct {
		name    string
		members []string
		fits    bool
	}{
		{"arm64", []string{"main.py", "p/_p.cpython-311-aarch64-linux-gnu.so"}, true},
		{"x86-64", []string{"p/_p.cpython-311-aarch64-linux-gnu.so", "q/_q.cpython-311-x86_64-linux-gnu.so"}, false},
		{"pure", []string{"main.py"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var content bytes.Buffer
			z := zip.NewWriter(&content)
			for _, name := range c.members {
				if _, err := z.Create(name); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(t.TempDir(), "out.zip")
			if err := errors.Join(z.Close(), os.WriteFile(file, content.Bytes(), 0o644)); err != nil {
				t.Fatal(err)
			}
			if err := holdsArm64(file); (err == nil) != c.fits {
				t.Errorf("got %v, want fits: %v", err, c.fits)
			}
		})
	}
}
