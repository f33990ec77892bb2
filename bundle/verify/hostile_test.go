package verify_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

func verifyPath(t testing.TB, path string) (*verify.Report, error) {
	t.Helper()
	return verify.Verify(t.Context(), path, target.Default, verify.Options{})
}

func TestTruncatedZipIsAnError(t *testing.T) {
	whole, err := os.ReadFile(writeZip(t, member{name: "_x.so", content: aarch64()}))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 30, len(whole) / 2, len(whole) - 1} {
		file := filepath.Join(t.TempDir(), "cut.zip")
		if err := os.WriteFile(file, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := verifyPath(t, file); err == nil || !strings.Contains(err.Error(), "cut.zip") {
			t.Errorf("%d of %d bytes: got %v", n, len(whole), err)
		}
	}
}

func TestDamagedMemberIsAFinding(t *testing.T) {
	file := writeZip(t, member{name: "_x.so", content: aarch64(func(o *object) { o.padding = 100000 })}, member{name: "main.py", content: "x = 1\n"})
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[40:], bytes.Repeat([]byte{0xff}, 40)) // into the deflated data of the first member
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := verifyPath(t, file)
	if err != nil || codes(report.Errors) != "DAMAGED" {
		t.Errorf("got %v, %v", report, err)
	}
}

func TestWhatLambdaCannotUnpackIsAFinding(t *testing.T) {
	report, err := verifyPath(t, writeZip(t,
		member{name: "secret.py", content: "x", mode: 0o600}, member{name: "fine.py", content: "x", mode: 0o644},
		member{name: "link.so", content: "fine.py", mode: fs.ModeSymlink | 0o777}, member{name: "out", content: "../../etc/passwd", mode: fs.ModeSymlink | 0o777},
		member{name: "twice", content: "1"}, member{name: "twice", content: "2"}, member{name: "folder/"},
	))
	if err != nil {
		t.Fatal(err)
	}
	if got := codes(report.Errors); got != "LINK MODE NAME-TWICE" || report.Files != 6 {
		t.Errorf("got %q of %d files: %v", got, report.Files, report.Errors)
	}
}

func TestLibraryIsFoundThroughASymbolicLink(t *testing.T) {
	needs := aarch64(func(o *object) { o.needed = append(o.needed, "liba.so.1") })
	members := []member{{name: "_x.so", content: needs}, {name: "lib/liba.so.1", content: "liba.so.1.2", mode: fs.ModeSymlink | 0o777}, {name: "lib/liba.so.1.2", content: aarch64()}}
	report, err := verifyPath(t, writeZip(t, members...))
	if err != nil || report.Err() != nil {
		t.Errorf("got %v, %v", report.Err(), err)
	}
	members[2] = member{name: "lib/liba.so.1.2", content: "liba.so.1", mode: fs.ModeSymlink | 0o777}
	if report, err = verifyPath(t, writeZip(t, members...)); err != nil || codes(report.Errors) != "LIBRARY" {
		t.Errorf("a loop: got %v, %v", report.Errors, err)
	}
}

// bomb makes a zip whose members all share one run of deflated zeros that begin like an ELF file whose dynamic table is at
// the end, each claiming to be size bytes long.
func bomb(t testing.TB, members int, size uint64) string {
	t.Helper()
	var body bytes.Buffer
	w := zip.NewWriter(&body)
	in, err := w.CreateHeader(&zip.FileHeader{Name: "a", Method: zip.Deflate})
	if err != nil {
		t.Fatal(err)
	}
	elf := []byte(aarch64())
	binary.LittleEndian.PutUint64(elf[64+56+8:], size-100) // where its dynamic table is said to be
	crc := crc32.NewIEEE()
	out := io.MultiWriter(in, crc)
	if _, err := out.Write(elf); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(out, zeros{}, int64(size)-int64(len(elf))); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data := body.Bytes()
	end := bytes.LastIndex(data, []byte("PK\x05\x06"))
	start := bytes.Index(data, []byte("PK\x01\x02"))
	record, tail := bytes.Clone(data[start:end]), bytes.Clone(data[end:])
	file := append([]byte{}, data[:start]...)
	for i := range members {
		r := bytes.Clone(record)
		binary.LittleEndian.PutUint16(r[28:], uint16(len(fmt.Sprintf("m%d.so", i))))
		file = append(append(file, r[:46]...), fmt.Sprintf("m%d.so", i)...)
	}
	binary.LittleEndian.PutUint32(tail[12:], uint32(len(file)-start))
	binary.LittleEndian.PutUint16(tail[8:], uint16(members))
	binary.LittleEndian.PutUint16(tail[10:], uint16(members))
	path := filepath.Join(t.TempDir(), "bomb.zip")
	if err := os.WriteFile(path, append(file, tail...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestZipBombIsNotUnpacked(t *testing.T) {
	file := bomb(t, 5000, 20<<20) // 100 GB of 20 kB
	start := time.Now()
	report, err := verifyPath(t, file)
	if err != nil || !strings.Contains(codes(report.Errors), "SIZE-UNZIPPED") {
		t.Fatalf("got %v, %v", report, err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestMemberThatIsLongerThanItSaysIsCutOff(t *testing.T) {
	file := bomb(t, 1, 20<<20)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	central := bytes.Index(data, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(data[central+24:], 5000) // the size it says
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := verifyPath(t, file)
	if err != nil || codes(report.Errors) != "DAMAGED" {
		t.Errorf("got %v, %v", report, err)
	}
}

func TestHundredThousandMembers(t *testing.T) {
	members := make([]member, 100_000)
	for i := range members {
		members[i] = member{name: fmt.Sprintf("package/folder%d/file%d.txt", i%100, i), content: "text"}
	}
	file := writeZip(t, members...)
	start := time.Now()
	report, err := verifyPath(t, file)
	if err != nil || report.Err() != nil || report.Files != len(members) {
		t.Fatalf("got %v, %v", report, err)
	}
	t.Logf("%v", time.Since(start))
}

// TestMemoryStaysSmall reads a bundle of 96 MB in 24 shared objects whose tables are at the end, so that all of it has to be
// inflated, and holds what is allocated meanwhile against a bound that no whole file, let alone all, would fit in.
func TestMemoryStaysSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("it inflates 96 MB; run it without -short")
	}
	file := largeZip(t)
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan error)
	go func() {
		report, err := verifyPath(t, file)
		if err == nil && len(report.Errors) > 1 {
			err = report.Err()
		}
		done <- err
	}()
	var peak uint64
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d kB more than before at most", peak>>10)
			return
		case <-time.After(5 * time.Millisecond):
			runtime.ReadMemStats(&now)
			if grown := now.HeapInuse - min(before.HeapInuse, now.HeapInuse); grown > peak {
				if peak = grown; peak > 16<<20 {
					t.Fatalf("the heap grew by %d bytes", peak)
				}
			}
		}
	}
}

func largeZip(t testing.TB) string {
	members := make([]member, 24)
	content := aarch64(func(o *object) { o.padding, o.tail = 4<<20-1000, true })
	for i := range members {
		members[i] = member{name: fmt.Sprintf("_m%d.so", i), content: content}
	}
	return writeZip(t, members...)
}

func TestStreamAndFileGiveTheSameFacts(t *testing.T) {
	for name, o := range map[string]func(*object){
		"tables first": func(*object) {},
		"tables last":  func(o *object) { o.padding, o.tail = 3<<20, true },
		"both":         func(o *object) { o.padding = 3 << 20 },
		"large names": func(o *object) {
			o.padding = 1 << 20
			for i := range 160_000 {
				o.symbols = append(o.symbols, fmt.Sprintf("a_symbol_with_a_very_long_name_as_C_plus_plus_has_them_%d", i))
			}
			o.tail = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			content := aarch64(o, func(o *object) {
				o.needed, o.soname, o.runpath, o.defines = append(o.needed, "libm.so.6"), "x.so", "$ORIGIN", []string{"X_1", "X_2"}
			})
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "_x.so"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			fromFile, _, err := verify.ScanPath(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			fromZip, _, err := verify.ScanPath(t.Context(), writeZip(t, member{name: "_x.so", content: content}))
			if err != nil {
				t.Fatal(err)
			}
			e := fromFile.ELF["_x.so"]
			if asJSON(t, fromFile) != asJSON(t, fromZip) || e == nil || !e.Init || e.Soname != "x.so" || len(e.Defines) != 2 || len(e.Needed) != 2 {
				t.Errorf("got\n%s\nand\n%s", asJSON(t, fromFile), asJSON(t, fromZip))
			}
		})
	}
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestUnreadableFileIsAnErrorOfThisMachine(t *testing.T) {
	gone := verify.File{Name: "_x.so", Size: 100, Open: func() (io.ReadCloser, error) { return os.Open(filepath.Join(t.TempDir(), "gone")) }}
	if _, err := verify.Scan(t.Context(), []verify.File{gone}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "_x.so") {
		t.Errorf("got %v", err)
	}
	if _, err := verifyPath(t, filepath.Join(t.TempDir(), "none.zip")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestCancelledScanEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verify.Scan(ctx, files(map[string]string{"_x.so": aarch64(), "_y.so": aarch64(), "_z.so": aarch64()})); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestHostileFactsAreJudgedInTime multiplies what a judge might look up for each: files, requirements, extras, folders.
func TestHostileFactsAreJudgedInTime(t *testing.T) {
	content := dist("p", "py3-none-any")
	var metadata strings.Builder
	metadata.WriteString("Name: p\nVersion: 1\n")
	for i := range 6000 {
		fmt.Fprintf(&metadata, "Requires-Dist: p[e%d] ; extra == 'e%d' and %s python_version > '3' %s\n", i, i/2, strings.Repeat("(", 50), strings.Repeat(")", 50))
	}
	content["p-1.0.dist-info/METADATA"] = metadata.String()
	folders := strings.Repeat("$ORIGIN/x:", 300)
	for i := range 1000 {
		content[fmt.Sprintf("p/f%d.exe", i)] = "MZ000000"
		content[fmt.Sprintf("json%d.py", i)] = strings.Repeat("x = (", 200)
	}
	for i := range 50 {
		content[fmt.Sprintf("p/_m%d.so", i)] = aarch64(func(o *object) {
			o.rpath = folders
			for k := range 200 {
				o.needed = append(o.needed, fmt.Sprintf("lib%d.so", k))
			}
		})
	}
	start := time.Now()
	report := judgeDefault(t, content)
	if len(report.String()) > 1<<20 {
		t.Errorf("the report has %d bytes", len(report.String()))
	}
	if took := time.Since(start); took > 30*time.Second { // some 0.5 s; with the race detector ten times as much
		t.Errorf("it took %v for %d errors", took, len(report.Errors))
	}
	t.Logf("%v, %d errors", time.Since(start), len(report.Errors))
}
