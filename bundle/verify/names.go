package verify

import (
	"path"
	"strings"
	"unicode/utf8"
)

// maxElement is the longest name of a file or folder on Lambda's file system, in bytes (NAME_MAX of Linux).
const maxElement = 255

// names finds names that cannot be unpacked, or not without one file replacing another, or not on every system.
func (j *judge) names() {
	folders, folded := map[string]bool{}, make(map[string]string, len(j.Files))
	for i := range j.Files {
		name := j.Files[i].Name
		if why := badName(name); why != "" {
			j.error(Finding{Code: "NAME", File: name, Got: why, Want: "a relative path below the bundle's root, UTF-8, with slashes"})
		}
		if j.byName[name] != i {
			j.error(Finding{Code: "NAME-TWICE", File: name, Got: "two files of this name", Want: "one"})
		}
		for dir := path.Dir(name); dir != "." && dir != "/" && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
		lower := strings.ToLower(name)
		if other, ok := folded[lower]; ok && other != name {
			j.remark(Finding{Code: "NAME-CASE", File: name, Got: "a name that differs from " + quotedName(other) + " in case only", Want: "names that every file system tells apart"})
		}
		folded[lower] = name
	}
	for i := range j.Files {
		if name := j.Files[i].Name; folders[name] {
			j.error(Finding{Code: "NAME-TWICE", File: name, Got: "a file and a folder of this name", Want: "one of them"})
		}
	}
}

// badName says what is wrong with a name, or nothing.
func badName(name string) string {
	switch {
	case name == "":
		return "an empty name"
	case !utf8.ValidString(name):
		return "a name that is not UTF-8"
	case strings.ContainsRune(name, 0):
		return "a name with a NUL"
	case strings.Contains(name, `\`):
		return "a name with a backslash"
	case path.IsAbs(name), len(name) > 1 && name[1] == ':':
		return "an absolute name"
	}
	for _, element := range strings.Split(name, "/") {
		switch {
		case element == "..":
			return "a name that leads out of the bundle"
		case element == "" || element == ".":
			return "a name with an empty element"
		case len(element) > maxElement:
			return "a name of more than 255 bytes"
		}
	}
	return ""
}
