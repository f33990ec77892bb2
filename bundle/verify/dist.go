package verify

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"maps"
	"net/textproto"
	"path"
	"slices"
	"strings"
)

// maxRequires bounds the requirements of a package that are looked at; the largest have some hundred.
const maxRequires = 5000

// distFiles are the files of a dist-info folder that are read.
var distFiles = []string{"METADATA", "WHEEL", "RECORD", "top_level.txt"}

// isDistInfo says that a file tells of an installed package.
func isDistInfo(name string) bool {
	dir, file := path.Split(name)
	return strings.HasSuffix(dir, ".dist-info/") && slices.Contains(distFiles, file)
}

// distInfo reads one file of a dist-info folder.
func (s *scan) distInfo(i int, _ *[]byte) error {
	f := &s.files[i]
	text, err := readAll(f, maxMetadata)
	if err != nil {
		return s.damaged(f, err)
	}
	dir, file := path.Split(f.Name)
	dir = strings.TrimSuffix(dir, "/")
	s.mu.Lock()
	d := s.dists[dir]
	if d == nil {
		d = newDist(dir)
		s.dists[dir] = d
	}
	s.mu.Unlock()
	switch file { // each file has fields of its own, so no lock is needed
	case "METADATA":
		d.readMetadata(text)
	case "WHEEL":
		d.Tags = parseHeaders(text)["Tag"]
	case "RECORD":
		d.record, err = parseRecord(text)
	case "top_level.txt":
		d.topLevel = strings.Fields(string(text))
	}
	if err != nil {
		return s.damaged(f, err)
	}
	return nil
}

// newDist takes name and version from the folder's name, for where METADATA has none.
func newDist(dir string) *Dist {
	name, version, _ := strings.Cut(strings.TrimSuffix(path.Base(dir), ".dist-info"), "-")
	return &Dist{Dir: dir, Name: name, Version: version}
}

func (d *Dist) readMetadata(text []byte) {
	h := parseHeaders(text)
	for key, field := range map[string]*string{"Name": &d.Name, "Version": &d.Version, "Requires-Python": &d.RequiresPython} {
		if values := h[key]; len(values) > 0 {
			*field = values[0]
		}
	}
	d.Requires = h["Requires-Dist"][:min(maxRequires, len(h["Requires-Dist"]))]
}

// parseHeaders reads the header of a METADATA or WHEEL file, which has the form of an e-mail's
// (https://packaging.python.org/en/latest/specifications/core-metadata/). Lines that are not of that form are left out.
func parseHeaders(text []byte) map[string][]string {
	headers := map[string][]string{}
	var key string
	in := bufio.NewScanner(bytes.NewReader(text))
	in.Buffer(nil, len(text)+1)
	for in.Scan() {
		line := strings.TrimRight(in.Text(), "\r")
		if line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if values := headers[key]; len(values) > 0 {
				values[len(values)-1] += " " + strings.TrimSpace(line)
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if key = ""; ok {
			key = textproto.CanonicalMIMEHeaderKey(name)
			headers[key] = append(headers[key], strings.TrimSpace(value))
		}
	}
	return headers
}

// parseRecord returns the names of the files that a RECORD lists.
func parseRecord(text []byte) ([]string, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord, r.ReuseRecord, r.LazyQuotes = -1, true, true
	var names []string
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return names, err
		}
		names = append(names, strings.ReplaceAll(row[0], `\`, "/"))
	}
}

// own lists the packages in order of their folders, and finds the one that each file belongs to: by RECORD, else by
// the folders that top_level.txt or its own name claim. What another package lists as its own is a copy inside it, and
// no package that is installed.
func (s *scan) own() {
	all := slices.SortedFunc(maps.Values(s.dists), func(a, b *Dist) int { return strings.Compare(a.Dir, b.Dir) })
	byFile, byFolder := map[string]*Dist{}, map[string]*Dist{}
	for _, d := range all {
		for _, name := range d.record {
			byFile[path.Join(path.Dir(d.Dir), name)] = d
		}
	}
	all = slices.DeleteFunc(all, func(d *Dist) bool {
		owner := byFile[path.Join(d.Dir, "METADATA")]
		return owner != nil && owner != d
	})
	index := map[*Dist]int{}
	for i, d := range all {
		index[d] = i + 1
		for _, folder := range d.claims() {
			if byFolder[folder] == nil {
				byFolder[folder] = d
			}
		}
		d.Name, d.Version = printable(d.Name), printable(d.Version)
		s.facts.Dists = append(s.facts.Dists, *d)
		s.facts.Dists[i].record, s.facts.Dists[i].topLevel = nil, nil
	}
	for i := range s.facts.Files {
		f := &s.facts.Files[i]
		d := byFile[f.Name]
		if d == nil {
			d = ownerByFolder(byFolder, f.Name)
		}
		f.Dist = index[d]
	}
}

// claims returns the folders whose files a package owns though no RECORD says so; only its dist-info where it has one.
func (d *Dist) claims() []string {
	if len(d.record) > 0 {
		return []string{d.Dir}
	}
	root, normal := path.Dir(d.Dir), normalName(d.Name)
	folders := []string{d.Dir}
	for _, name := range append(d.topLevel, strings.ReplaceAll(normal, "-", "_"), d.Name, d.Name+".libs", normal+".libs") {
		folders = append(folders, path.Join(root, name))
	}
	return folders
}

// ownerByFolder looks for the folder that a file is in, or for the module that it is.
func ownerByFolder(byFolder map[string]*Dist, name string) *Dist {
	if d := byFolder[strings.TrimSuffix(name, path.Ext(name))]; d != nil && isPython(name) {
		return d
	}
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if d := byFolder[dir]; d != nil {
			return d
		}
	}
	return nil
}

// normalName returns a package name as names are compared
// (https://packaging.python.org/en/latest/specifications/name-normalization/).
func normalName(name string) string {
	fields := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	return strings.Join(fields, "-")
}
