package verify

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// standardLibrary are the top-level modules of every Python from 3.9 to 3.14 that a bundle can hide: it comes first on
// sys.path, but what is built into the interpreter is found before (sys.stdlib_module_names of 3.11, less what later
// versions removed).
var standardLibrary = strings.Fields(`
	argparse array ast asyncio base64 bdb binascii bisect bz2 cProfile calendar cmath cmd code codeop collections
	colorsys compileall concurrent configparser contextlib contextvars copy copyreg csv ctypes curses dataclasses
	datetime dbm decimal difflib dis doctest email encodings ensurepip enum fcntl filecmp fileinput fnmatch fractions
	ftplib functools getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http imaplib importlib
	inspect ipaddress json keyword linecache locale logging lzma mailbox math mimetypes mmap modulefinder msvcrt
	multiprocessing netrc nt nturl2path numbers opcode operator optparse pathlib pdb pickle pickletools pkgutil
	platform plistlib poplib pprint profile pstats pty py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random
	re readline reprlib resource rlcompleter sched secrets select selectors shelve shlex shutil signal smtplib socket
	socketserver sqlite3 sre_compile sre_constants sre_parse ssl statistics string stringprep struct subprocess
	symtable sysconfig syslog tabnanny tarfile tempfile termios textwrap threading timeit token tokenize trace
	traceback tracemalloc tty types typing unicodedata unittest urllib uuid venv warnings wave weakref webbrowser
	winreg winsound wsgiref xml xmlrpc zipapp zipfile zlib zoneinfo`)

// shadows remarks on modules at the bundle's root that hide others, and on files of the sources inside a package.
func (j *judge) shadows() {
	for i := range j.Files {
		f := &j.Files[i]
		if !isPython(f.Name) {
			continue
		}
		top, rest, inFolder := strings.Cut(f.Name, "/")
		module := strings.TrimSuffix(top, ".py")
		switch {
		case (!inFolder || rest == "__init__.py") && slices.Contains(standardLibrary, module):
			j.remark(Finding{Code: "SHADOW", File: f.Name, Got: "the name of the standard library's " + module, Want: "a name of its own: every import of " + module + " gets this file"})
		case f.Dist > 0:
		case !inFolder && j.ownedInit(module):
			j.remark(Finding{Code: "SHADOW", File: f.Name, Got: "a module beside a package " + module, Want: "a name of its own: Python imports the package"})
		case inFolder && j.ownedInit(top):
			j.remark(Finding{Code: "SHADOW", File: f.Name, Got: "a file of the sources inside " + j.owner(top), Want: "a folder of its own"})
		}
	}
}

// ownedInit says that a folder is a package that was installed.
func (j *judge) ownedInit(folder string) bool { return j.dist(path.Join(folder, "__init__.py")) != nil }

func (j *judge) owner(folder string) string {
	d := j.dist(path.Join(folder, "__init__.py"))
	return d.Name + " " + d.Version
}

// noteSize is the size, in bytes, from which on a remark on size is made.
const noteSize = 1 << 20

// ballast remarks on what makes a bundle larger than it has to be: tests of packages, and large files that are there twice.
func (j *judge) ballast() {
	type file struct {
		base string
		size int64
	}
	tests, bytes, first := make([]int, len(j.Dists)+1), make([]int64, len(j.Dists)+1), map[file]string{}
	for i := range j.Files {
		f := &j.Files[i]
		if strings.Contains(f.Name, "/tests/") || strings.Contains(f.Name, "/test/") {
			tests[f.Dist]++
			bytes[f.Dist] += f.Size
		}
		key := file{path.Base(f.Name), f.Size}
		if other := first[key]; f.Size >= noteSize && other != "" {
			j.remark(Finding{Code: "DUPLICATE", File: f.Name, Got: fmt.Sprintf("the name and size (%d bytes) of %s", f.Size, quotedName(other)), Want: "one of them"})
		} else if other == "" {
			first[key] = f.Name
		}
	}
	for i, d := range j.Dists {
		if n := bytes[i+1]; n >= noteSize {
			j.remark(Finding{Code: "TESTS", File: d.Dir, Package: d.Name, Version: d.Version, Got: fmt.Sprintf("%d files of tests, %d bytes", tests[i+1], n), Want: "what the function needs"})
		}
	}
}
