package bundle

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// pack writes members with as many cores.
func pack(t testing.TB, members []member, cores int) []byte {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
	var out bytes.Buffer
	z := &zipWriter{w: &out}
	if err := deflateAll(t.Context(), z, members); err != nil {
		t.Fatal(err)
	}
	if err := z.finish(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// someMembers makes files of all sizes that matter to the block deflater, compressible and not.
func someMembers(seed uint64) []member {
	r := rand.New(rand.NewPCG(seed, 1))
	var members []member
	for i, size := range []int{0, 1, windowSize, blockSize - 1, blockSize, blockSize + 1, 3*blockSize + 17, r.IntN(5 * blockSize)} {
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(r.IntN(1 + 255*(i%2) + 3))
		}
		members = append(members, member{name: fmt.Sprintf("folder/%03d-é.bin", i), size: int64(size), data: data, mode: modeOf(data)})
	}
	return members
}

func TestZipReadsBackAsItWasWritten(t *testing.T) {
	for seed := range uint64(3) {
		members := someMembers(seed)
		packed := pack(t, members, 4)
		r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.File) != len(members) {
			t.Fatalf("got %d members, want %d", len(r.File), len(members))
		}
		for i, f := range r.File {
			content, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(content) // checks the CRC
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			if f.Name != members[i].name || !bytes.Equal(got, members[i].data) {
				t.Errorf("%s: got %d bytes, want %d of %s", f.Name, len(got), len(members[i].data), members[i].name)
			}
			if f.Mode().Perm() != members[i].mode || f.Modified.Year() != 1980 {
				t.Errorf("%s: mode %v, time %v", f.Name, f.Mode(), f.Modified)
			}
		}
	}
}

func TestZipBytesDoNotDependOnTheNumberOfCores(t *testing.T) {
	members := someMembers(7)
	one := pack(t, members, 1)
	for _, cores := range []int{2, 3, 16} {
		if !bytes.Equal(one, pack(t, members, cores)) {
			t.Errorf("%d cores give other bytes than one", cores)
		}
	}
}

func TestZipSatisfiesOtherReaders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.zip")
	if err := writeFile(file, pack(t, someMembers(3), 2)); err != nil {
		t.Fatal(err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("python3 is needed to hold the zip against another reader")
	}
	if out, err := exec.CommandContext(t.Context(), python, "-m", "zipfile", "-t", file).CombinedOutput(); err != nil {
		t.Errorf("python -m zipfile -t: %v\n%s", err, out)
	}
}

func TestDeflateStopsWhenItIsCancelled(t *testing.T) {
	ctx, cancel := newCancelled(t)
	defer cancel()
	if err := deflateAll(ctx, &zipWriter{w: io.Discard}, someMembers(1)); err == nil {
		t.Error("a cancelled run reported success")
	}
}

func TestDeflateReportsAFileThatShrinks(t *testing.T) {
	m := someMembers(1)[3:4]
	m[0].size++
	if err := deflateAll(t.Context(), &zipWriter{w: io.Discard}, m); err == nil {
		t.Error("a file shorter than its size was packed without an error")
	}
}
