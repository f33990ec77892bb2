package verify_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// scanOne scans a file and judges it for every target, and holds that this ends in a report.
func scanOne(t *testing.T, name string, data []byte) {
	t.Helper()
	f := verify.File{Name: name, Size: int64(len(data)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewBuffer(data)), nil }}
	facts, err := verify.Scan(t.Context(), []verify.File{f})
	if err != nil {
		t.Fatalf("a damaged file is an error of the machine: %v", err)
	}
	for _, x := range target.All() {
		report := facts.Judge(x, verify.Options{Handler: "x.handler"})
		if report.String() == "" {
			t.Fatal("no report")
		}
	}
}

func FuzzELF(f *testing.F) {
	f.Add([]byte(aarch64()))
	f.Add([]byte(aarch64(func(o *object) { o.tail, o.defines, o.rpath = true, []string{"A_1"}, "$ORIGIN" })))
	f.Add([]byte(aarch64(func(o *object) { o.big = true })))
	f.Add([]byte(aarch64(func(o *object) { o.bits32 = true })))
	f.Add([]byte(aarch64(func(o *object) { o.padding, o.interp = 1000, "/lib/ld-linux-aarch64.so.1\x00" })))
	f.Fuzz(func(t *testing.T, data []byte) { scanOne(t, "_x.so", data) })
}

func FuzzZip(f *testing.F) {
	for _, members := range [][]member{
		{{name: "_x.so", content: aarch64()}}, {{name: "main.py", content: "def handler(): pass"}},
		{{name: "p-1.dist-info/RECORD", content: "p.py,,\n"}, {name: "p.py", content: "x"}}, {{name: "a", content: "b", mode: os.ModeSymlink | 0o777}},
	} {
		data, err := os.ReadFile(writeZip(f, members...))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "x.zip")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if report, err := verifyPath(t, file); err == nil && report.String() == "" {
			t.Fatal("no report")
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte("Name: p\nVersion: 1\nRequires-Python: >=3.8\nRequires-Dist: q[a,b] (>=1.0,!=2.*) ; (python_version < \"3.9\" or extra == 'x') and platform_machine not in \"arm64\"\n folded\n\nbody"))
	f.Add([]byte("Requires-Dist: q @ https://example.org/q.whl ; os_name == \"posix\"\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) { scanOne(t, "p-1.dist-info/METADATA", data) })
}

func FuzzWheel(f *testing.F) {
	f.Add([]byte("Wheel-Version: 1.0\nTag: cp311-abi3.none-manylinux_2_17_aarch64.manylinux2014_aarch64\nTag: py3-none-any\n"))
	f.Fuzz(func(t *testing.T, data []byte) { scanOne(t, "p-1.dist-info/WHEEL", data) })
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("a.py,sha256=x,1\n\"b,c\",,\n..\\bin\\x,,\n"))
	f.Fuzz(func(t *testing.T, data []byte) { scanOne(t, "p-1.dist-info/RECORD", data) })
}

func FuzzModule(f *testing.F) {
	f.Add([]byte("async def handler(e, c):\n  pass\nx: int = (\n1)\nfrom a import (b as c,\n)\n'''\\''''# c\nif x: y = z = 1\nwith a as b, c as (d, e): pass\n"))
	f.Fuzz(func(t *testing.T, data []byte) { scanOne(t, "x.py", data) })
}
