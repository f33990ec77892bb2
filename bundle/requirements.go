package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Names of the staged files. The docker builder's Dockerfile copies them by these names.
const (
	requirementsName = "requirements.txt"
	constraintsName  = "constraints.txt"
	localFolder      = "local"
)

// Requirements is a requirements file in canonical form: includes resolved, comments gone, requirements sorted, local
// packages at a stable relative path. Equal dependencies give equal bytes, whatever the file looked like.
type Requirements struct {
	options     []string // in the order of the file: the order of indexes has a meaning
	lines       []string
	constraints []string
	local       map[string]string // staged path -> path on this machine
	seen        map[string]bool
}

// ReadRequirements reads a requirements file (https://pip.pypa.io/en/stable/reference/requirements-file-format/) and
// everything it includes. A file without any requirement is fine; a missing one is an error.
func ReadRequirements(file string) (*Requirements, error) {
	r := &Requirements{local: map[string]string{}, seen: map[string]bool{}}
	if err := r.read(file, filepath.Dir(file), false); err != nil {
		return nil, err
	}
	for _, lines := range []*[]string{&r.lines, &r.constraints} {
		slices.Sort(*lines)
		*lines = slices.Compact(*lines)
	}
	return r, nil
}

// Empty says that nothing is required, so that nothing has to be installed.
func (r *Requirements) Empty() bool { return len(r.lines) == 0 }

// Hashed says that a requirement carries a hash, so that all have to.
func (r *Requirements) Hashed() bool {
	return slices.ContainsFunc(r.lines, func(l string) bool { return strings.Contains(l, "--hash") }) ||
		slices.Contains(r.options, "--require-hashes")
}

var pinned = regexp.MustCompile(`===?[^*,]+$|@`)

// Unpinned returns the requirements that name no exact version: what they install depends on the day of the build.
// A constraint that pins the package counts.
func (r *Requirements) Unpinned() []string {
	exact := func(line string) bool {
		spec, _, _ := strings.Cut(strings.Split(line, " --hash")[0], ";")
		return pinned.MatchString(strings.TrimSpace(spec)) || strings.HasPrefix(line, "./")
	}
	fixed := map[string]bool{}
	for _, c := range r.constraints {
		if exact(c) {
			fixed[projectName(c)] = true
		}
	}
	var loose []string
	for _, l := range r.lines {
		if !exact(l) && !fixed[projectName(l)] {
			loose = append(loose, l)
		}
	}
	return loose
}

var leadingName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*`)

// projectName returns the normalised name at the start of a requirement (PEP 503).
func projectName(requirement string) string {
	return strings.ToLower(regexp.MustCompile(`[-_.]+`).ReplaceAllString(leadingName.FindString(requirement), "-"))
}

// text returns the canonical requirements file.
func (r *Requirements) text() string {
	lines := slices.Clone(r.options)
	if len(r.constraints) > 0 {
		lines = append(lines, "-c "+constraintsName)
	}
	return joinLines(append(lines, r.lines...))
}

func joinLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// Stage writes the canonical files and the local packages into dir, which must exist. The content of dir depends on
// the requirements alone: not on the place, the modes or the times of the originals.
func (r *Requirements) Stage(dir string) error {
	return r.each(func(name string, data []byte, mode fs.FileMode) error {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, mode); err != nil {
			return err
		}
		return os.Chmod(file, mode) // the umask must not reach the staged files
	})
}

// Digest returns the SHA-256, in hexadecimal, of everything that Stage writes.
func (r *Requirements) Digest() (string, error) {
	sum := sha256.New()
	err := r.each(func(name string, data []byte, mode fs.FileMode) error {
		content := sha256.Sum256(data)
		_, err := fmt.Fprintf(sum, "%q %o %x\n", name, mode, content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// each calls f for every staged file, in the order of their names.
func (r *Requirements) each(f func(name string, data []byte, mode fs.FileMode) error) error {
	if err := f(requirementsName, []byte(r.text()), 0o644); err != nil {
		return err
	}
	if err := f(constraintsName, []byte(joinLines(r.constraints)), 0o644); err != nil {
		return err
	}
	for _, staged := range slices.Sorted(maps.Keys(r.local)) {
		if err := eachLocalFile(staged, r.local[staged], f); err != nil {
			return fmt.Errorf("staging local package %q: %w", r.local[staged], err)
		}
	}
	return nil
}

// read adds the content of file. Relative paths of local packages are seen from the including file's folder, as pip
// does since 21.1; base is the folder of the first file, which the staged paths are relative to.
func (r *Requirements) read(file, base string, constraint bool) error {
	clean := filepath.Clean(file)
	if r.seen[clean] {
		return nil
	}
	r.seen[clean] = true
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{
			What: fmt.Sprintf("requirements file %q does not exist", file),
			Cure: "create it (an empty one is fine for a function without dependencies) or name another one",
		}
	}
	if err != nil {
		return fmt.Errorf("reading requirements: %w", err)
	}
	for _, line := range logicalLines(string(data)) {
		if err := r.add(line, filepath.Dir(file), base, constraint); err != nil {
			return fmt.Errorf("reading requirements %q, line %q: %w", file, line, err)
		}
	}
	return nil
}

// logicalLines joins continued lines and drops comments and empty lines.
func logicalLines(text string) []string {
	text = strings.TrimPrefix(strings.ReplaceAll(text, "\r\n", "\n"), "\ufeff")
	text = regexp.MustCompile(`(?m)(^|\s)#.*$`).ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// add takes one logical line: an include, an option or a requirement.
func (r *Requirements) add(line, dir, base string, constraint bool) error {
	if !strings.HasPrefix(line, "-") {
		return r.addRequirement(line, dir, base, constraint)
	}
	name, value, _ := strings.Cut(strings.Replace(line, "=", " ", 1), " ")
	if len(name) > 2 && name[1] != '-' { // -rother.txt
		name, value = line[:2], line[2:]
	}
	value = strings.TrimSpace(value)
	switch name {
	case "-r", "--requirement":
		return r.include(value, dir, base, constraint)
	case "-c", "--constraint":
		return r.include(value, dir, base, true)
	case "-e", "--editable":
		return r.addRequirement(value, dir, base, constraint) // a bundle has no editable installs
	case "-f", "--find-links":
		if staged, ok := r.stageLocal(value, dir, base); ok {
			value = staged
		}
		line = "--find-links " + value
	}
	if !slices.Contains(r.options, line) {
		r.options = append(r.options, line)
	}
	return nil
}

func (r *Requirements) include(file, dir, base string, constraint bool) error {
	if strings.Contains(file, "://") {
		return &Error{What: fmt.Sprintf("the include %q is a URL, whose content can change unseen", file), Cure: "download it into the repository and include the file"}
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	return r.read(file, base, constraint)
}

// localPath takes a requirement apart into the path of a local package, what stands before it ("name @ ") and what
// stands after it (extras, markers, hashes).
var localPath = regexp.MustCompile(`^((?:[A-Za-z0-9._-]+(?:\[[^]]*\])?\s*@\s*)?)((?:file:)?[^\[;\s]+)(.*)$`)

func (r *Requirements) addRequirement(line, dir, base string, constraint bool) error {
	m := localPath.FindStringSubmatch(line)
	if m != nil && looksLocal(m[2], dir) {
		staged, ok := r.stageLocal(m[2], dir, base)
		if !ok {
			return &Error{What: fmt.Sprintf("the local package %q does not exist", m[2]), Cure: "correct the path; it is relative to the requirements file"}
		}
		// uv and pip take a bare path, with extras; the name before "@" would need an absolute URL.
		line = staged + m[3]
	}
	if constraint {
		r.constraints = append(r.constraints, line)
	} else {
		r.lines = append(r.lines, line)
	}
	return nil
}

// looksLocal says that a requirement is a path: by its form, or because it has a separator and is there.
func looksLocal(s, dir string) bool {
	if strings.Contains(s, "://") && !strings.HasPrefix(s, "file:") {
		return false
	}
	if strings.HasPrefix(s, "file:") || strings.HasPrefix(s, ".") || filepath.IsAbs(s) || strings.HasSuffix(s, ".whl") {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, s))
	return err == nil && strings.ContainsAny(s, `/\`)
}

// stageLocal gives a local path its staged one, and says whether it exists. The staged path follows the one from the
// requirements file, so that it is the same in every checkout; an absolute one has nothing stable but its last element.
func (r *Requirements) stageLocal(s, dir, base string) (string, bool) {
	s = filepath.FromSlash(strings.TrimPrefix(strings.TrimPrefix(s, "file://"), "file:"))
	rel := filepath.Base(s)
	if !filepath.IsAbs(s) {
		s = filepath.Join(dir, s)
		if fromBase, err := filepath.Rel(base, s); err == nil {
			rel = fromBase
		}
	}
	if _, err := os.Stat(s); err != nil {
		return "", false
	}
	staged := path.Join(localFolder, strings.ReplaceAll(filepath.ToSlash(rel), "..", "_up"))
	r.local[staged] = s
	return "./" + staged, true
}

// leftOut names what a build of a local package leaves behind, and what is never part of it.
var leftOut = []string{".git", ".hg", ".venv", "venv", "node_modules", ".tox", ".nox", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".DS_Store"}

// eachLocalFile calls f for every file of a local package (a folder, a wheel or a source distribution).
func eachLocalFile(staged, root string, f func(name string, data []byte, mode fs.FileMode) error) error {
	return filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		artefact := rel == "build" || rel == "dist" || strings.HasSuffix(rel, ".egg-info")
		if slices.Contains(leftOut, d.Name()) || d.IsDir() && artefact {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() || strings.HasSuffix(file, ".pyc") {
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return f(path.Join(staged, filepath.ToSlash(rel)), data, 0o644)
	})
}
