package bundle_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
	"sample-python-arm64-lambda/internal/testtools"
)

// goldenSample is the digest of the sample's zip on every machine. It changes with requirements.txt, src, the deflate
// library, and nothing else; a change here changes every user's bundle once, and belongs in the release notes.
const goldenSample = "c77d5b0a40194de7a89919d4be21794e0dc73b4f111790bce61cdd359aa711a5"

// sample returns the sample function of the repository.
func sample(t testing.TB) bundle.Spec {
	root := testtools.Root(t)
	return bundle.Spec{
		Requirements: filepath.Join(root, "requirements.txt"), Source: filepath.Join(root, "src"),
		Handler: "main.handler", Builder: bundle.Wheels,
	}
}

func options(t testing.TB) bundle.Options {
	return bundle.Options{CacheDir: filepath.Join(t.TempDir(), "cache"), UV: testtools.UV(t)}
}

// function writes a function of the given requirements and sources.
func function(t testing.TB, requirements string, files map[string]string) bundle.Spec {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("requirements.txt", requirements)
	write("src/main.py", "def handler(event, context):\n    return 1\n")
	for name, text := range files {
		write(name, text)
	}
	return bundle.Spec{Requirements: filepath.Join(dir, "requirements.txt"), Source: filepath.Join(dir, "src"), Handler: "main.handler", Builder: bundle.Wheels}
}

// versions returns name==version of the packages of a bundle.
func versions(m *bundle.Manifest) []string {
	var all []string
	for _, p := range m.Packages {
		all = append(all, p.Name+"=="+p.Version)
	}
	slices.Sort(all)
	return all
}

func TestSampleHasTheGoldenDigest(t *testing.T) {
	out := filepath.Join(t.TempDir(), "dist", "sample.zip")
	opts := options(t)
	first, err := bundle.Build(t.Context(), sample(t), out, opts)
	if err != nil {
		t.Fatal(err)
	}
	if first.SHA256 != goldenSample {
		t.Errorf("got %s, want %s", first.SHA256, goldenSample)
	}
	want := []string{"annotated-types==0.7.0", "pydantic==2.10.5", "pydantic_core==2.27.2", "typing_extensions==4.12.2"}
	if got := versions(first); !reflect.DeepEqual(got, want) {
		t.Errorf("packages: got %q, want %q", got, want)
	}
	if out, err := exec.CommandContext(t.Context(), "sha256sum", out).Output(); err == nil && !strings.HasPrefix(string(out), first.SHA256) {
		t.Errorf("the file has another digest than the manifest: %s", out)
	}
	opts.UV = "no-such-uv" // what is cached needs no uv
	second, err := bundle.Build(t.Context(), sample(t), out, opts)
	if err != nil {
		t.Fatal(err)
	}
	if !second.Cached || second.SHA256 != first.SHA256 {
		t.Errorf("second build: cached %v, digest %s", second.Cached, second.SHA256)
	}
	t.Logf("unchanged / first: %.4f s / %.2f s = %.4f", second.Seconds, first.Seconds, second.Seconds/first.Seconds)
}

// TestNothingOfTheHostReachesTheZip builds a copy of the checkout under everything that differs between machines.
func TestNothingOfTheHostReachesTheZip(t *testing.T) {
	root := testtools.Root(t)
	binary := filepath.Join(t.TempDir(), "bundle")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/bundle")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, world := range map[string]struct {
		umask string
		env   []string
		mtime time.Time
	}{
		"one":     {"022", []string{"TZ=UTC", "LANG=C", "GOMAXPROCS=1"}, time.Unix(1e9, 0)},
		"another": {"077", []string{"TZ=Asia/Tokyo", "LANG=ja_JP.UTF-8", "LC_ALL=C.UTF-8", "GOMAXPROCS=7"}, time.Now()},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "checkout of "+name)
			if err := os.CopyFS(filepath.Join(dir, "src"), os.DirFS(filepath.Join(root, "src"))); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(root, "requirements.txt"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "requirements.txt"), text, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(filepath.Join(dir, "src", "main.py"), world.mtime, world.mtime); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", "umask "+world.umask+` && exec "$0" build -cache cache`, binary)
			cmd.Dir = dir
			cmd.Env = append(append(os.Environ(), world.env...), "PATH="+filepath.Dir(testtools.UV(t))+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.Contains(string(out), "sha256:"+goldenSample) {
				t.Errorf("got %swant the golden digest %s", out, goldenSample)
			}
		})
	}
}

func TestSourceDistributionsAndLocalPackagesNeedNoDocker(t *testing.T) {
	spec := function(t, "docopt==0.6.2\n./libs/x\n", map[string]string{
		"libs/x/pyproject.toml": "[project]\nname = \"x-lib\"\nversion = \"0.1\"\n", "libs/x/src/xlib/__init__.py": "VALUE = 1\n",
	})
	m, err := bundle.Build(t.Context(), spec, filepath.Join(t.TempDir(), "x.zip"), options(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := versions(m), []string{"docopt==0.6.2", "x-lib==0.1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("packages: got %q, want %q", got, want)
	}
	if len(m.Notes) != 2 {
		t.Errorf("got notes %q, want one for each package that was built here", m.Notes)
	}
}

func TestNoRequirementsNeedNoUV(t *testing.T) {
	opts := options(t)
	opts.UV = "no-such-uv"
	m, err := bundle.Build(t.Context(), function(t, "# none\n", nil), filepath.Join(t.TempDir(), "x.zip"), opts)
	if err != nil {
		t.Fatal(err)
	}
	if m.Files != 1 {
		t.Errorf("got %d files, want main.py alone", m.Files)
	}
}

func TestNumpyIsBuiltForTheGlibcOfItsRuntime(t *testing.T) {
	for runtime, machine := range map[string]string{"python3.11": "arm64", "python3.12": "arm64"} {
		parsed, err := target.Parse(runtime, machine)
		if err != nil {
			t.Fatal(err)
		}
		spec := function(t, "numpy==2.4.0\n", nil)
		spec.Target = parsed
		_, err = bundle.Build(t.Context(), spec, filepath.Join(t.TempDir(), "x.zip"), options(t))
		var none *bundle.NoWheelError
		if old := runtime == "python3.11"; old && !errors.As(err, &none) {
			t.Errorf("%s: got %v, want that there is no wheel for glibc 2.26", runtime, err)
		} else if !old && err != nil {
			t.Errorf("%s: %v", runtime, err)
		}
	}
}

// TestErrorsSayWhatToDo has one row for each way a build fails. Each leaves no file behind, not even a partial one.
func TestErrorsSayWhatToDo(t *testing.T) {
	fine := "annotated-types==0.7.0\n"
	closedPort := func(t *testing.T) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // only its number was wanted
		return l.Addr().String()
	}
	for _, c := range []struct {
		name         string
		requirements string
		files        map[string]string
		change       func(t *testing.T, s *bundle.Spec, o *bundle.Options)
		want         []string
	}{
		{"uv is missing", fine, nil, func(_ *testing.T, _ *bundle.Spec, o *bundle.Options) { o.UV = "no-such-uv" },
			[]string{"uv is not installed", "cure: install it (pip install uv==" + bundle.UVVersion}},
		{"no Python for uv", fine, nil, func(t *testing.T, _ *bundle.Spec, o *bundle.Options) {
			lonely := filepath.Join(t.TempDir(), "uv") // uv also looks beside itself
			copyFile(t, o.UV, lonely)
			o.UV = lonely
			for _, name := range []string{"PATH", "VIRTUAL_ENV", "HOME", "UV_PYTHON", "PYENV_ROOT"} {
				t.Setenv(name, t.TempDir())
			}
		}, []string{"uv needs a Python", "uv python install"}},
		{"the index is unreachable", "", nil, func(t *testing.T, s *bundle.Spec, _ *bundle.Options) {
			t.Setenv("UV_HTTP_RETRIES", "0")
			rewrite(t, s.Requirements, "--index-url http://"+closedPort(t)+"/simple\nannotated-types==0.7.0\n")
		}, []string{"the package index cannot be reached", "UV_INDEX_URL"}},
		{"unknown version", "annotated-types==99\n", nil, nil, []string{"a required version does not exist", "annotated-types==99"}},
		{"unknown package", "no-such-package-of-anyone==1\n", nil, nil, []string{"does not exist in the index", "no-such-package-of-anyone"}},
		{"wrong hash", "annotated-types==0.7.0 --hash=sha256:" + strings.Repeat("0", 64) + "\n", nil, nil, []string{"not the one that its hash", "annotated-types"}},
		{"hashes for some only", "annotated-types==0.7.0 --hash=sha256:1f02e8b43a8fbbc3f3e0d4f0f4bfc8131bcb4eebe8849b8e5c773f3a1c582a53\nidna==3.10\n", nil, nil, []string{"idna"}},
		{"a source distribution that compiles", "python-levenshtein==0.12.2\n", nil, nil,
			[]string{"python-levenshtein==0.12.2 exists only as a source distribution that compiles", "python3.11 on arm64", "cure: use the docker builder"}},
		{"no wheel for the target", "pywin32==306\n", nil, nil, []string{"pywin32==306 has no wheel for python3.11 on arm64", "win_amd64", "cure: use the docker builder"}},
		{"wheels, but for other Pythons", "numpy==1.21.0\n", nil, nil, []string{"numpy==1.21.0 has no wheel for python3.11 on arm64", "wheels for other platforms or Pythons", "cure:"}},
		{"a line that is no requirement", "what is this\n", nil, nil, []string{"a line that is not a requirement", "what is this"}},
		{"requirements missing", fine, nil, func(_ *testing.T, s *bundle.Spec, _ *bundle.Options) { s.Requirements += ".none" }, []string{"requirements.txt.none", "does not exist", "cure:"}},
		{"source missing", fine, nil, func(_ *testing.T, s *bundle.Spec, _ *bundle.Options) { s.Source += "none" }, []string{"srcnone", "does not exist", "cure:"}},
		{"source empty", fine, nil, func(_ *testing.T, s *bundle.Spec, _ *bundle.Options) { s.Exclude = []string{"*.py"} }, []string{"has no file", "cure:"}},
		{"the handler's module is missing", fine, nil, func(_ *testing.T, s *bundle.Spec, _ *bundle.Options) { s.Handler = "other.handler" }, []string{`no module "other"`}},
		{"a source has a dependency's name", fine, map[string]string{"src/annotated_types/__init__.py": ""}, nil, []string{"annotated_types/__init__.py", "annotated-types", "cure:"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, opts := function(t, c.requirements, c.files), options(t)
			if c.change != nil {
				c.change(t, &spec, &opts)
			}
			dist := filepath.Join(t.TempDir(), "dist")
			_, err := bundle.Build(t.Context(), spec, filepath.Join(dist, "x.zip"), opts)
			if err == nil {
				t.Fatal("got no error")
			}
			t.Log(err)
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q", want)
				}
			}
			for _, pattern := range []string{filepath.Join(dist, "*"), filepath.Join(dist, ".*"), filepath.Join(opts.CacheDir, "work-*")} {
				if left, _ := filepath.Glob(pattern); left != nil {
					t.Errorf("left behind: %q", left)
				}
			}
		})
	}
}

func TestAnUnwritableOutputIsAnError(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	rewrite(t, blocked, "a file where a folder is wanted")
	_, err := bundle.Build(t.Context(), function(t, "", nil), filepath.Join(blocked, "x.zip"), options(t))
	if err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("got %v", err)
	}
}

// TestTheArticlesBugIsRefused packs a tree that was installed for x86_64.
func TestTheArticlesBugIsRefused(t *testing.T) {
	tree := t.TempDir()
	install := exec.CommandContext(t.Context(), testtools.UV(t), "pip", "install", "--target", tree, "--python-platform", "x86_64-manylinux2014",
		"--python-version", "3.11", "--only-binary", ":all:", "-r", filepath.Join(testtools.Root(t), "requirements.txt"))
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, err := func() (*verify.Report, error) {
		r, err := verify.Verify(t.Context(), tree, target.Default, verify.Options{})
		if err != nil {
			return nil, err
		}
		return r, r.Err()
	}()
	if err == nil {
		t.Fatal("an x86_64 tree was accepted for arm64")
	}
	for _, want := range []string{"pydantic_core/_pydantic_core.cpython-311-x86_64-linux-gnu.so", "pydantic-core 2.27.2", "x86-64", "aarch64"} {
		if !strings.Contains(strings.ReplaceAll(err.Error(), "pydantic_core 2", "pydantic-core 2"), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}

func TestADamagedCacheEntryIsMadeAnew(t *testing.T) {
	opts, out := options(t), filepath.Join(t.TempDir(), "x.zip")
	spec := function(t, "annotated-types==0.7.0\n", nil)
	first, err := bundle.Build(t.Context(), spec, out, opts)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := filepath.Glob(filepath.Join(opts.CacheDir, "*", "deps.zip"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("got entries %q, %v", entries, err)
	}
	if err := os.Truncate(entries[0], 100); err != nil {
		t.Fatal(err)
	}
	second, err := bundle.Build(t.Context(), spec, out, opts)
	if err != nil {
		t.Fatal(err)
	}
	if second.Cached || second.SHA256 != first.SHA256 {
		t.Errorf("cached %v, digests %s and %s", second.Cached, first.SHA256, second.SHA256)
	}
}

func TestACacheThatIsNotNamedIsTheUsers(t *testing.T) {
	opts, dir := options(t), t.TempDir()
	opts.CacheDir = ""
	for variable, value := range map[string]string{"BUNDLE_CACHE_DIR": "", "XDG_CACHE_HOME": dir, "HOME": dir, "LocalAppData": dir} {
		t.Setenv(variable, value)
	}
	if got := bundle.DefaultCacheDir(); !strings.HasPrefix(got, dir) || filepath.Base(got) != "python-lambda-bundle" {
		t.Errorf("got %q, want it in %q", got, dir)
	}
	t.Setenv("BUNDLE_CACHE_DIR", filepath.Join(dir, "named"))
	if _, err := bundle.Build(t.Context(), function(t, "annotated-types==0.7.0\n", nil), filepath.Join(dir, "x.zip"), opts); err != nil {
		t.Fatal(err)
	}
	if made, _ := filepath.Glob(filepath.Join(dir, "named", "*", "deps.zip")); len(made) != 1 {
		t.Errorf("got %q", made)
	}
}

func TestACancelledBuildLeavesNothing(t *testing.T) {
	opts := options(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := bundle.Build(ctx, sample(t), filepath.Join(t.TempDir(), "x.zip"), opts)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Skipf("the build took less than 50 ms or failed otherwise: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(opts.CacheDir, "*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestSymbolicLinksStayInsideTheSources(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege on Windows")
	}
	for name, c := range map[string]struct {
		link, to string
		want     string
	}{
		"a file inside is followed":   {"src/alias.py", "main.py", ""},
		"a folder inside is followed": {"src/copy", "pkg", ""},
		"one that leaves is refused":  {"src/out.py", "../requirements.txt", "outside the source folder"},
		"a loop is refused":           {"src/pkg/loop", "..", "to the folder it is in"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := function(t, "", map[string]string{"src/pkg/__init__.py": ""})
			if err := os.Symlink(filepath.FromSlash(c.to), filepath.Join(filepath.Dir(spec.Source), filepath.FromSlash(c.link))); err != nil {
				t.Fatal(err)
			}
			m, err := bundle.Build(t.Context(), spec, filepath.Join(t.TempDir(), "x.zip"), options(t))
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "" && m.Files != 3:
				t.Errorf("got %d files, want 3", m.Files)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestExcludedSourcesAreLeftOut(t *testing.T) {
	files := map[string]string{"src/a/test_x.py": "", "src/a/b/data.csv": "", "src/notes/n.md": "", "src/__pycache__/m.pyc": ""}
	for pattern, want := range map[string]int{"none": 4, "test_*.py": 3, "a": 2, "a/b": 3, "notes/*.md": 3, "*.csv": 3, "/a/b/": 3} {
		t.Run(pattern, func(t *testing.T) {
			spec := function(t, "", files)
			spec.Exclude = []string{pattern}
			m, err := bundle.Build(t.Context(), spec, filepath.Join(t.TempDir(), "x.zip"), options(t))
			if err != nil {
				t.Fatal(err)
			}
			if m.Files != want {
				t.Errorf("got %d files, want %d", m.Files, want)
			}
		})
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

func rewrite(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(fmt.Errorf("writing a test's file: %w", err))
	}
}
