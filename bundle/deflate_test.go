package bundle

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"github.com/klauspost/compress/flate"
)

// TestAUsedWriterDeflatesLikeANewOne is what the bytes rest on: each deflater works with one writer on whatever blocks
// it gets.
func TestAUsedWriterDeflatesLikeANewOne(t *testing.T) {
	used, err := flate.NewWriter(nil, deflateLevel)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		data := make([]byte, r.IntN([]int{20, 1000, 100 << 10, blockSize + windowSize}[i%4])+1)
		alphabet := 1 + r.IntN(256)
		for j := range data {
			data[j] = byte(r.IntN(alphabet))
			if back := 1 + r.IntN(windowSize); j > back && r.IntN(8) > 0 {
				data[j] = data[j-back]
			}
		}
		b := block{input: data, dict: r.IntN(len(data)), last: i%3 == 0}
		b.dict = min(b.dict, windowSize)
		if err := b.deflate(used); err != nil {
			t.Fatal(err)
		}
		var fresh bytes.Buffer
		w, err := flate.NewWriterDict(&fresh, deflateLevel, data[:b.dict])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data[b.dict:]); err != nil {
			t.Fatal(err)
		}
		finish := w.Flush
		if b.last {
			finish = w.Close
		}
		if err := finish(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.output.Bytes(), fresh.Bytes()) {
			t.Fatalf("block %d of %d bytes: a used writer gives %d bytes, a new one %d, or others", i, len(data), b.output.Len(), fresh.Len())
		}
	}
}

func TestAFileThatChangesWhileItIsPackedIsAnError(t *testing.T) {
	dir := folder(t, map[string]string{"a.txt": "one"})
	members, err := normalize(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFile(filepath.Join(dir, "a.txt"), []byte("two")); err != nil {
		t.Fatal(err)
	}
	if err := deflateAll(t.Context(), &zipWriter{w: io.Discard}, members); err == nil {
		t.Error("its old SHA-256 would stand in RECORD")
	}
}

// memoryLimit is what a build may take at its peak, in KB.
const memoryLimit = 64 << 10

// TestMemoryDoesNotGrowWithTheBundle packs trees in processes of their own.
func TestMemoryDoesNotGrowWithTheBundle(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the peak of a process is read from Linux's /proc")
	}
	binary := filepath.Join(t.TempDir(), "bundle.test") // this one may have the race detector's memory
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, cores := range []int{2, 16} {
		small, big := peak(t, binary, cores, 2), peak(t, binary, cores, 20)
		t.Logf("%d cores: %d KB for 20 MB, %d KB for 200 MB", cores, small, big)
		if big > memoryLimit || big > small*3/2 {
			t.Errorf("%d cores: got %d KB for ten times what took %d KB, want no more than %d KB", cores, big, small, memoryLimit)
		}
	}
}

// peak packs so many files of 10 MB, and returns the peak memory of the process that does it, in KB.
func peak(t *testing.T, binary string, cores, files int) int {
	t.Helper()
	tree := t.TempDir()
	first := filepath.Join(tree, "000.bin")
	data := make([]byte, 10<<20)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range data {
		data[i] = byte(r.IntN(60))
	}
	if err := os.WriteFile(first, data, 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range files - 1 {
		if err := os.Link(first, filepath.Join(tree, fmt.Sprintf("%03d.bin", i+1))); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestPackATree$", "-test.v")
	cmd.Env = append(os.Environ(), "PACK_TREE="+tree, "GOMAXPROCS="+strconv.Itoa(cores))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no peak in\n%s", out)
	}
	kilobytes, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes
}

// TestPackATree is the process that peak measures.
func TestPackATree(t *testing.T) {
	dir := os.Getenv("PACK_TREE")
	if dir == "" {
		t.Skip("it is started by TestMemoryDoesNotGrowWithTheBundle")
	}
	e := &entry{dir: t.TempDir()}
	if err := e.fill(t.Context(), tree{dir: dir}, nil, Options{}); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", status)
}
