package bundle

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func read(t *testing.T, files map[string]string) *Requirements {
	t.Helper()
	r, err := ReadRequirements(filepath.Join(folder(t, files), "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCanonicalRequirements(t *testing.T) {
	const want = "a==1\nb==2\n"
	for name, files := range map[string]map[string]string{
		"as it is":                 {"requirements.txt": want},
		"order does not matter":    {"requirements.txt": "b==2\na==1\n"},
		"comments do not matter":   {"requirements.txt": "# top\na==1  # why\n\nb==2\n"},
		"spaces do not matter":     {"requirements.txt": "  a==1\t\n\nb==2"},
		"line ends do not matter":  {"requirements.txt": "\ufeffa==1\r\nb==2\r\n"},
		"a double does not matter": {"requirements.txt": "a==1\nb==2\na==1\n"},
		"includes are resolved":    {"requirements.txt": "-r other/more.txt\na==1\n", "other/more.txt": "b==2\n"},
		"an include is short":      {"requirements.txt": "-rmore.txt\na==1\n", "more.txt": "b==2\n"},
		"an include has a sign":    {"requirements.txt": "--requirement=more.txt\na==1\n", "more.txt": "b==2\n-r requirements.txt\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := read(t, files).text(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestRequirementsKeepWhatDecidesTheResult(t *testing.T) {
	r := read(t, map[string]string{
		"requirements.txt": "--index-url https://one.example/simple\n--extra-index-url https://two.example/simple\nx==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb # both\n" +
			"y[extra]>=2 ; python_version > '3.8'\n-c limits.txt\nz @ https://host.example/z.whl#sha256=cc\n",
		"limits.txt": "y==3\nw<2\n",
	})
	want := "--index-url https://one.example/simple\n--extra-index-url https://two.example/simple\n-c constraints.txt\n" +
		"x==1 --hash=sha256:aa --hash=sha256:bb\ny[extra]>=2 ; python_version > '3.8'\nz @ https://host.example/z.whl#sha256=cc\n"
	if got := r.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !r.Hashed() {
		t.Error("hashes were not seen")
	}
	if got := joinLines(r.constraints); got != "w<2\ny==3\n" {
		t.Errorf("constraints: got %q", got)
	}
	if loose := r.Unpinned(); loose != nil {
		t.Errorf("got unpinned %q; y is pinned by the constraint", loose)
	}
}

func TestUnpinnedRequirementsAreTold(t *testing.T) {
	r := read(t, map[string]string{"requirements.txt": "a==1\nb\nc>=2\nd==1.*\ne===2\nf[x]==1; os_name=='posix'\n"})
	if got, want := r.Unpinned(), []string{"b", "c>=2", "d==1.*"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLocalPackagesAreStagedAtAStablePath(t *testing.T) {
	files := map[string]string{
		"fn/requirements.txt":      "./libs/x\n-e ../shared/y[fast]\nz @ file:libs/z.whl ; os_name=='posix'\n",
		"fn/libs/x/pyproject.toml": "x", "fn/libs/x/x.py": "x", "fn/libs/x/__pycache__/x.pyc": "no", "fn/libs/x/build/lib/x.py": "no", "fn/libs/x/.git/HEAD": "no",
		"shared/y/setup.py": "y", "fn/libs/z.whl": "z",
	}
	var digests []string
	for range 2 {
		r, err := ReadRequirements(filepath.Join(folder(t, files), "fn", "requirements.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := r.text(), "./local/_up/shared/y[fast]\n./local/libs/x\n./local/libs/z.whl ; os_name=='posix'\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		staged := t.TempDir()
		if err := r.Stage(staged); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range mustList(t, staged) {
			names = append(names, m.name)
		}
		want := []string{"constraints.txt", "local/_up/shared/y/setup.py", "local/libs/x/pyproject.toml", "local/libs/x/x.py", "local/libs/z.whl", "requirements.txt"}
		if !reflect.DeepEqual(names, want) {
			t.Errorf("staged %q, want %q", names, want)
		}
		d, err := r.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, d)
	}
	if digests[0] != digests[1] {
		t.Error("the folder of the checkout changes the digest")
	}
}

func mustList(t *testing.T, dir string) []member {
	t.Helper()
	members, err := listSources(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return members
}

func TestRequirementsThatCannotBeRead(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"the file is missing":          {},
		"an include is missing":        {"requirements.txt": "-r none.txt"},
		"an include is a URL":          {"requirements.txt": "-r https://host.example/r.txt"},
		"a local package is missing":   {"requirements.txt": "./libs/none"},
		"a local wheel does not exist": {"requirements.txt": "none-1-py3-none-any.whl"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadRequirements(filepath.Join(folder(t, files), "requirements.txt")); err == nil {
				t.Error("got no error")
			} else {
				t.Log(err)
			}
		})
	}
}

func FuzzRequirements(f *testing.F) {
	f.Add("a==1\n-r x\n./y \\\n # c\n--hash=sha256:00")
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		file := filepath.Join(dir, "requirements.txt")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := ReadRequirements(file)
		if err != nil || len(r.local) > 0 || len(r.constraints) > 0 {
			return
		}
		once := r.text()
		if err := os.WriteFile(file, []byte(once), 0o644); err != nil {
			t.Fatal(err)
		}
		again, err := ReadRequirements(file)
		if err != nil {
			t.Fatalf("the canonical form %q is not readable: %v", once, err)
		}
		if again.text() != once {
			t.Errorf("canonical form is not stable: %q, then %q", once, again.text())
		}
	})
}
