package verify_test

import (
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// dist is the dist-info of a package with a wheel's tag.
func dist(name, tag string, more ...string) map[string]string {
	dir := name + "-1.0.dist-info/"
	return map[string]string{
		dir + "METADATA": "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n" + strings.Join(more, "\n") + "\n\nRequires-Dist: not-a-header\n",
		dir + "WHEEL":    "Wheel-Version: 1.0\nTag: " + tag + "\n",
	}
}

func with(parts ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, p := range parts {
		maps.Copy(all, p)
	}
	return all
}

const native = "cp311-cp311-manylinux_2_17_aarch64"

// TestFindings holds each claim over a bundle of a few files: the errors, and the remarks, as "CODE file".
func TestFindings(t *testing.T) {
	x86 := func(o *object) { o.machine = elf.EM_X86_64 }
	large := func(o *object) { o.padding = 1 << 20 }
	need := func(library string, versions ...string) func(*object) {
		return func(o *object) {
			o.needed = append(o.needed, library)
			if len(versions) > 0 {
				o.versions[library] = versions
			}
		}
	}
	for claim, c := range map[string]struct {
		files           map[string]string
		errors, remarks []string
	}{
		"a module for the target is fine": {files: map[string]string{"_x.cpython-311-aarch64-linux-gnu.so": aarch64(), "_y.abi3.so": aarch64(), "_z.so": aarch64()}},
		"a module for another machine is not": {
			files:  map[string]string{"p/_x.cpython-311-x86_64-linux-gnu.so": aarch64(x86)},
			errors: []string{"ELF-MACHINE p/_x.cpython-311-x86_64-linux-gnu.so"},
		},
		"nor one of 32 bits":                 {files: map[string]string{"_x.so": aarch64(func(o *object) { o.bits32 = true })}, errors: []string{"ELF-MACHINE _x.so"}},
		"nor one of the other byte order":    {files: map[string]string{"_x.so": aarch64(func(o *object) { o.big = true })}, errors: []string{"ELF-MACHINE _x.so"}},
		"nor one for macOS":                  {files: map[string]string{"_x.cpython-311-darwin.so": "\xcf\xfa\xed\xfe0000"}, errors: []string{"NOT-ELF _x.cpython-311-darwin.so"}},
		"nor one for Windows":                {files: map[string]string{"_x.cp311-win_amd64.pyd": "MZ000000"}, errors: []string{"NOT-ELF _x.cp311-win_amd64.pyd"}},
		"object files are never loaded":      {files: map[string]string{"a.o": aarch64(x86, func(o *object) { o.kind = elf.ET_REL })}},
		"a Windows name alone is no Windows": {files: map[string]string{"a.exe": "hello", "b.txt": "MZ but text"}},
		"a module for another Python is not imported": {
			files:  map[string]string{"_x.cpython-310-aarch64-linux-gnu.so": aarch64()},
			errors: []string{"ABI-TAG _x.cpython-310-aarch64-linux-gnu.so"},
		},
		"where it is there for this one too, it is ballast": {
			files:   map[string]string{"_x.cpython-310-aarch64-linux-gnu.so": aarch64(), "_x.cpython-311-aarch64-linux-gnu.so": aarch64()},
			remarks: []string{"UNUSED _x.cpython-310-aarch64-linux-gnu.so"},
		},
		"so is one for another machine": {
			files:   map[string]string{"_x.cpython-311-x86_64-linux-gnu.so": aarch64(x86), "_x.cpython-311-aarch64-linux-gnu.so": aarch64()},
			remarks: []string{"UNUSED _x.cpython-311-x86_64-linux-gnu.so"},
		},
		"one with Python code beside it is not needed": {
			files:   map[string]string{"_x.cpython-311-x86_64-linux-gnu.so": aarch64(x86), "_x.py": "pass"},
			remarks: []string{"UNUSED _x.cpython-311-x86_64-linux-gnu.so"},
		},
		"programs of every system are ballast in a package for any": {
			files:   with(dist("selenium", "py3-none-any"), map[string]string{"selenium/linux/manager": aarch64(x86, large, func(o *object) { o.interp = "/lib64/ld-linux-x86-64.so.2\x00" }), "selenium/manager.exe": "MZ000000"}),
			remarks: []string{"UNUSED selenium/linux/manager"},
		},
		"a library of a package for any, loaded by ctypes on its own machine, too": {
			files:   with(dist("debugpy", "py2.py3-none-any"), map[string]string{"debugpy/attach_linux_amd64.so": aarch64(x86, large, func(o *object) { o.symbols = nil })}),
			remarks: []string{"UNUSED debugpy/attach_linux_amd64.so"},
		},
		"an accelerator for Windows in a package for any is ballast": {
			files: with(dist("debugpy", "py3-none-any"), map[string]string{"debugpy/fast.cp39-win_amd64.pyd": "MZ000000"}),
		},
		"a Linux module for another machine, in a package that says any, is an error": {
			files:  with(dist("p", "py3-none-any"), map[string]string{"p/_x.so": aarch64(x86)}),
			errors: []string{"ELF-MACHINE p/_x.so"},
		},
		"a program of the sources for another machine is an error": {
			files:  map[string]string{"bin/ffmpeg": aarch64(x86, func(o *object) { o.kind = elf.ET_EXEC })},
			errors: []string{"ELF-MACHINE bin/ffmpeg"},
		},
		"glibc must not be newer than the runtime's": {files: map[string]string{"_x.so": aarch64(need("libm.so.6", "GLIBC_2.17", "GLIBC_2.27"))}, errors: []string{"GLIBC _x.so"}},
		"as new is fine":                     {files: map[string]string{"_x.so": aarch64(need("libm.so.6", "GLIBC_2.26", "GLIBC_2.9"))}},
		"a feature of glibc counts as newer": {files: map[string]string{"_x.so": aarch64(need("libm.so.6", "GLIBC_ABI_DT_RELR"))}, errors: []string{"GLIBC _x.so"}},
		"libstdc++ must not be newer":        {files: map[string]string{"_x.so": aarch64(need("libstdc++.so.6", "GLIBCXX_3.4.25", "CXXABI_1.3.11", "CXXABI_TM_1"))}, errors: []string{"LIBSTDCXX _x.so"}},
		"libgcc must not be newer":           {files: map[string]string{"_x.so": aarch64(need("libgcc_s.so.1", "GCC_12.0.0", "GCC_3.0"))}, errors: []string{"LIBGCC _x.so"}},
		"musl is another C library": {
			files:  map[string]string{"_x.so": aarch64(func(o *object) { o.needed, o.versions = []string{"libc.musl-aarch64.so.1", "libgcc_s.so.1"}, nil })},
			errors: []string{"MUSL _x.so"},
		},
		"also by its name": {
			files:  map[string]string{"_x.cpython-311-aarch64-linux-musl.so": aarch64()},
			errors: []string{"MUSL _x.cpython-311-aarch64-linux-musl.so"},
		},
		"also as the interpreter of a program": {
			files:  map[string]string{"bin/x": aarch64(func(o *object) { o.interp, o.needed, o.versions = "/lib/ld-musl-aarch64.so.1\x00", nil, nil })},
			errors: []string{"MUSL bin/x"},
		},
		"libGL is not part of Lambda": {files: map[string]string{"_x.so": aarch64(need("libGL.so.1"))}, errors: []string{"LIBRARY _x.so"}},
		"a library on the run path is found": {
			files: map[string]string{"p/_x.so": aarch64(need("liba.so.1", "A_1"), func(o *object) { o.runpath = "/nowhere:$ORIGIN/../p.libs" }), "p.libs/liba.so.1": aarch64(func(o *object) { o.soname, o.defines = "liba.so.1", []string{"A_1"} })},
		},
		"also by RPATH with braces": {
			files: map[string]string{"p/_x.so": aarch64(need("liba.so.1"), func(o *object) { o.rpath = "${ORIGIN}" }), "p/liba.so.1": aarch64()},
		},
		"an RPATH holds for the libraries of its package too": {
			files: with(dist("p", native), map[string]string{
				"p/_x.so":          aarch64(need("liba.so.1"), func(o *object) { o.rpath = "$ORIGIN/../p.libs" }),
				"p.libs/liba.so.1": aarch64(need("libb.so.1")), "p.libs/libb.so.1": aarch64(),
			}),
		},
		"and in the folder lib, where Lambda looks": {files: map[string]string{"p/_x.so": aarch64(need("liba.so.1")), "lib/liba.so.1": aarch64()}},
		"not where it is for another machine": {
			files:  map[string]string{"p/_x.so": aarch64(need("liba.so.1")), "lib/liba.so.1": aarch64(x86, func(o *object) { o.symbols = nil })},
			errors: []string{"ELF-MACHINE lib/liba.so.1", "LIBRARY p/_x.so"},
		},
		"elsewhere in the bundle it has to be loaded before": {
			files:   map[string]string{"p/_x.so": aarch64(need("liba.so.1")), "q/liba.so.1": aarch64()},
			remarks: []string{"LIBRARY-PATH p/_x.so"},
		},
		"a library of the bundle must define the versions": {
			files:  map[string]string{"_x.so": aarch64(need("liba.so.1", "A_2")), "lib/liba.so.1": aarch64(func(o *object) { o.defines = []string{"A_1"} })},
			errors: []string{"SYMBOL-VERSION _x.so"},
		},
		"what is newer than Lambda's but in the bundle is fine": {
			files: map[string]string{
				"p/_x.so": aarch64(need("libstdc++-1a2b.so.6", "GLIBCXX_3.4.30"), func(o *object) { o.runpath = "$ORIGIN" }),
				"p/libstdc++-1a2b.so.6": aarch64(func(o *object) {
					o.defines = []string{"GLIBCXX_3.4", "GLIBCXX_3.4.30"}
				}),
			},
		},
		"numba's optional threading layer is a remark": {
			files:   map[string]string{"numba/np/ufunc/tbbpool.cpython-311-aarch64-linux-gnu.so": aarch64(need("libtbb.so.12"))},
			remarks: []string{"OPTIONAL numba/np/ufunc/tbbpool.cpython-311-aarch64-linux-gnu.so"},
		},
		"a wheel for another Python is refused": {
			files:  dist("p", "cp312-cp312-manylinux_2_17_aarch64"),
			errors: []string{"WHEEL-TAG p-1.0.dist-info"},
		},
		"an older abi3 fits":          {files: dist("p", "cp37-abi3-manylinux_2_28_aarch64")},
		"a newer one does not":        {files: dist("p", "cp312-abi3-manylinux_2_28_aarch64"), errors: []string{"WHEEL-TAG p-1.0.dist-info"}},
		"one for any platform does":   {files: dist("p", "py2.py3-none-any")},
		"a musl wheel does not":       {files: dist("p", "cp311-cp311-musllinux_1_2_aarch64"), errors: []string{"WHEEL-TAG p-1.0.dist-info"}},
		"one of pip's own for linux":  {files: dist("p", "cp311-cp311-linux_aarch64")},
		"Requires-Python is held":     {files: dist("p", native, "Requires-Python: >=3.12"), errors: []string{"REQUIRES-PYTHON p-1.0.dist-info"}},
		"also to its last number":     {files: dist("p", native, "Requires-Python: >=3.8,!=3.9.*,<=3.11")},
		"a requirement is missing":    {files: dist("p", native, "Requires-Dist: q>=1"), errors: []string{"REQUIRES p-1.0.dist-info"}},
		"one of another platform not": {files: dist("p", native, `Requires-Dist: q ; sys_platform == "win32" or (python_version < "3.9" and os_name == 'posix')`)},
		"one of an extra not":         {files: dist("p", native, `Requires-Dist: q ; extra == "more"`)},
		"one of an extra that is asked for is": {
			files:  with(dist("p", native, "Requires-Dist: q[More_Things]"), dist("q", native, `Requires-Dist: r ; extra == "more-things"`)),
			errors: []string{"REQUIRES q-1.0.dist-info"},
		},
		"what hangs on the last number of Python is AWS's": {files: dist("p", native, `Requires-Dist: q ; python_full_version < "3.11.3"`)},
		"the runtime has boto3":                            {files: dist("p", native, "Requires-Dist: boto3"), remarks: nil},
		"a bundled one is a remark":                        {files: dist("boto3", "py3-none-any"), remarks: []string{"RUNTIME-HAS boto3-1.0.dist-info"}},
		"another version is a remark":                      {files: with(dist("p", native, "Requires-Dist: q>=2"), dist("q", native)), remarks: []string{"REQUIRES-VERSION p-1.0.dist-info"}},
		"names are compared as normalised":                 {files: with(dist("p", native, "Requires-Dist: Zope.Interface (>=1)"), dist("zope_interface", native))},
		"a copy inside another package is none": {
			files: with(dist("p", native), map[string]string{"p/_vendor/p-2.0.dist-info/METADATA": "Name: P\nVersion: 2.0\n", "p-1.0.dist-info/RECORD": "p/_vendor/p-2.0.dist-info/METADATA,,\n"}),
		},
		"a package that is there twice is a remark": {
			files:   with(dist("p", native), map[string]string{"p-2.0.dist-info/METADATA": "Name: P\nVersion: 2.0\n"}),
			remarks: []string{"DIST-TWICE p-2.0.dist-info"},
		},
		"a source that hides the standard library is a remark": {files: map[string]string{"logging.py": "pass", "app/json.py": "pass"}, remarks: []string{"SHADOW logging.py"}},
		"so is one beside a package of its name":               {files: with(dist("p", native), map[string]string{"p/__init__.py": "", "p.py": "pass\n", "p/mine.py": "", "p-1.0.dist-info/RECORD": "p/__init__.py,,\n"}), remarks: []string{"SHADOW p.py", "SHADOW p/mine.py"}},
		"names that differ in case only are a remark":          {files: map[string]string{"A.txt": "", "a.txt": ""}, remarks: []string{"NAME-CASE *"}},
		"a damaged ELF file is a finding":                      {files: map[string]string{"_x.so": aarch64()[:300]}, errors: []string{"DAMAGED _x.so"}},
		"a name that leads out is refused":                     {files: map[string]string{"../x": "", "/y": "", "a//b": "", "c\\d": "", "e\x00": "", "\xff": "", strings.Repeat("n", 256): "", "": ""}, errors: slices.Repeat([]string{"NAME *"}, 8)},
		"a file where a folder is, too":                        {files: map[string]string{"a": "", "a/b": ""}, errors: []string{"NAME-TWICE a"}},
	} {
		t.Run(claim, func(t *testing.T) {
			report := judgeDefault(t, c.files)
			compare(t, "errors", report.Errors, c.errors)
			compare(t, "remarks", report.Remarks, c.remarks)
		})
	}
}

// compare holds findings against "CODE file", in any order; the file * is any.
func compare(t *testing.T, kind string, got []verify.Finding, want []string) {
	t.Helper()
	var have []string
	for _, f := range got {
		if slices.Contains(want, f.Code+" *") {
			f.File = "*"
		}
		have = append(have, f.Code+" "+f.File)
		if f.Cure == "" || f.Got == "" {
			t.Errorf("%v has no cure, or does not say what was got", f)
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("%s: got %q, want %q", kind, have, want)
	}
}

func TestHandlerIsLookedForWithoutRunningIt(t *testing.T) {
	for claim, c := range map[string]struct{ source, errors, remarks string }{
		"a function":            {source: "import os\n\ndef handler(event, context):\n    return 1\n"},
		"a class":               {source: "class handler:\n    pass\n"},
		"an assignment":         {source: "app = Mangum()\nhandler = app\n"},
		"a chained one":         {source: "first = handler = make(x=1)\n"},
		"a pair":                {source: "a, handler = pair\n"},
		"with a type":           {source: "handler: Callable[[dict], str] = lambda e, c: 1\n"},
		"an import":             {source: "from app import (\n    main as handler, # the real one\n    other,\n)\n"},
		"inside try":            {source: "try:\n    def handler(e, c): return 1\nexcept ImportError:\n    pass\n"},
		"decorated, after text": {source: "\"\"\"Docs with def other().\n\"\"\"\n@decorate\ndef handler(e, c): pass\n"},
		"on one line":           {source: "if x: handler = 1\n"},
		"not there":             {source: "def main(e, c): pass\n", errors: "HANDLER"},
		"only in a string":      {source: "x = '''\ndef handler(): pass\n'''\n", errors: "HANDLER"},
		"only in a function":    {source: "def f():\n    def handler(): pass\n    handler = 1\n", errors: "HANDLER"},
		"only in a comment":     {source: "# def handler(): pass\nx = 1\n", errors: "HANDLER"},
		"only compared":         {source: "print(handler == 1)\n", errors: "HANDLER"},
		"a coroutine":           {source: "async def handler(e, c): pass\n", errors: "HANDLER"},
		"perhaps, by a star":    {source: "from app import *\n", remarks: "HANDLER-UNSEEN"},
		"perhaps, by globals":   {source: "globals()['handler'] = 1\n", remarks: "HANDLER-UNSEEN"},
		"a module of nothing":   {source: "\n\n\n\n", errors: "HANDLER"},
	} {
		t.Run(claim, func(t *testing.T) {
			report := scan(t, map[string]string{"app/main.py": c.source, "app/__init__.py": "\n"}).Judge(target.Default, verify.Options{Handler: "app/main.handler"})
			if got := codes(report.Errors); got != c.errors {
				t.Errorf("errors: got %q, want %q: %v", got, c.errors, report.Errors)
			}
			if got := codes(report.Remarks); got != c.remarks {
				t.Errorf("remarks: got %q, want %q", got, c.remarks)
			}
		})
	}
}

func codes(findings []verify.Finding) string {
	var all []string
	for _, f := range findings {
		all = append(all, f.Code)
	}
	return strings.Join(all, " ")
}

func TestMissingHandlerModuleNamesTheOnesThereAre(t *testing.T) {
	facts := scan(t, map[string]string{"src/main.py": "def handler(e, c): pass\n"})
	for handler, want := range map[string]string{"main.handler": "src.main.handler", "other.absent": "other.py or other/__init__.py", "handler": "MODULE.FUNCTION", ".": "MODULE.FUNCTION"} {
		report := facts.Judge(target.Default, verify.Options{Handler: handler})
		if err := report.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want it to name %s", handler, err, want)
		}
	}
}

func TestTwoHundredWrongFilesAreStillReadable(t *testing.T) {
	content := dist("big", "cp311-cp311-manylinux2014_x86_64")
	for i := range 200 {
		content[fmt.Sprintf("big/_m%03d.cpython-311-x86_64-linux-gnu.so", i)] = aarch64(func(o *object) { o.machine = elf.EM_X86_64 })
	}
	report := judgeDefault(t, content)
	text := report.Err().Error()
	if lines := strings.Count(text, "\n"); len(report.Errors) != 201 || lines > 20 || !strings.Contains(text, "and 195 files more") || !strings.Contains(text, "big 1.0") {
		t.Errorf("got %d errors in %d lines:\n%s", len(report.Errors), lines, text)
	}
}

func TestWaivedFindingsAreShown(t *testing.T) {
	facts := scan(t, map[string]string{"cv2/cv2.abi3.so": aarch64(func(o *object) { o.needed = append(o.needed, "libGL.so.1") })})
	w, err := verify.ParseWaiver("LIBRARY:cv2/*")
	if err != nil {
		t.Fatal(err)
	}
	report := facts.Judge(target.Default, verify.Options{Ignore: []verify.Waiver{w}})
	if report.Err() != nil || len(report.Waived) != 1 || !strings.Contains(report.String(), "1 waived finding") {
		t.Errorf("got %v, %s", report.Err(), report)
	}
	for _, text := range []string{"LIBRARY", "NO-SUCH-CODE:*", "LIBRARY:", "LIBRARY:[", ""} {
		if _, err := verify.ParseWaiver(text); err == nil {
			t.Errorf("waiver %q is taken", text)
		}
	}
}

func TestLimits(t *testing.T) {
	big := verify.File{Name: "data", Size: 262_144_001, Mode: 0}
	facts := &verify.Facts{Files: []verify.FileFact{{Name: big.Name, Size: big.Size}}}
	report := facts.Judge(target.Default, verify.Options{ZippedBytes: 52_428_801})
	if codes(report.Errors) != "SIZE-UNZIPPED" || codes(report.Remarks) != "SIZE-ZIPPED" {
		t.Errorf("got %v and %v", report.Errors, report.Remarks)
	}
	facts.Files[0].Size--
	if report := facts.Judge(target.Default, verify.Options{ZippedBytes: 52_428_800}); len(report.Errors)+len(report.Remarks) > 0 {
		t.Errorf("got %v and %v at the limits", report.Errors, report.Remarks)
	}
}

func TestOwnersAreFoundWithAndWithoutRecord(t *testing.T) {
	content := with(dist("one", native), dist("Two.Parts", native), map[string]string{
		"one-1.0.dist-info/RECORD":            "\"odd,name.txt\",sha256=x,1\none/_x.so,,\n../../bin/one,,\n",
		"odd,name.txt":                        "",
		"one/_x.so":                           aarch64(),
		"two_parts/_x.so":                     aarch64(),
		"Two.Parts-1.0.dist-info/LICENSE":     "",
		"three/_x.so":                         aarch64(),
		"Two.Parts.libs/liba.so":              aarch64(),
		"vendored/one-1.0.dist-info/METADATA": "Name: vendored\nVersion: 3\n",
	})
	facts := scan(t, content)
	for name, want := range map[string]string{
		"odd,name.txt": "one 1.0", "one/_x.so": "one 1.0", "two_parts/_x.so": "Two.Parts 1.0", "Two.Parts-1.0.dist-info/LICENSE": "Two.Parts 1.0",
		"Two.Parts.libs/liba.so": "Two.Parts 1.0", "three/_x.so": "the sources",
	} {
		if got := facts.Owner(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestPartsThatCollideAreAnError(t *testing.T) {
	report := verify.Merge(scan(t, map[string]string{"p/__init__.py": ""}), scan(t, map[string]string{"p": ""})).Judge(target.Default, verify.Options{})
	compare(t, "errors", report.Errors, []string{"NAME-TWICE p"})
}

func TestMergedPartsAreJudgedAsOne(t *testing.T) {
	deps := with(dist("p", native, "Requires-Dist: q"), map[string]string{"p/_x.so": aarch64(func(o *object) { o.needed = append(o.needed, "liba.so.1") })})
	sources := with(dist("q", native), map[string]string{"q/__init__.py": "", "main.py": "def handler(e, c): pass\n", "lib/liba.so.1": aarch64()})
	o := verify.Options{Handler: "main.handler"}
	apart := verify.Merge(scan(t, deps), scan(t, sources)).Judge(target.Default, o)
	whole := scan(t, with(deps, sources)).Judge(target.Default, o)
	if apart.Err() != nil || apart.String() != whole.String() {
		t.Errorf("got %v\n%s\nwant\n%s", apart.Err(), apart, whole)
	}
}

func TestSyntaxIsThatOfTheTargetsPython(t *testing.T) {
	if _, err := exec.LookPath("python3.11"); err != nil {
		t.Skip("no python3.11 on PATH: install it to have the sources' syntax checked")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.py":   "def handler(event, context):\n    return f'{event[\"id\"]}'\n",
		"newer.py":  "type Alias = int\n", // of 3.12
		"latin.py":  "# -*- coding: latin-1 -*-\nx = '\xe9'\n",
		"broken.py": "def f(:\n",
		"nul.py":    "x = 1\x00\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report, err := verifyPath(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "errors", report.Errors, []string{"SYNTAX broken.py", "SYNTAX newer.py", "SYNTAX nul.py"})
}
