package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// alwaysExcluded never belongs to a function: what Python, editors and version control leave in a source folder.
var alwaysExcluded = []string{"__pycache__", "*.pyc", ".git", ".DS_Store", ".mypy_cache", ".pytest_cache", ".ruff_cache"}

// listSources lists the files of a function's source folder, sorted. Symbolic links to files and folders inside the
// folder are followed; one that leaves it is refused, because what it names is not part of the checkout.
func listSources(root string, exclude []string) ([]member, error) {
	for _, p := range exclude {
		if _, err := path.Match(p, ""); err != nil {
			return nil, &Error{What: fmt.Sprintf("exclude pattern %q is malformed", p), Cure: `use * for any run of characters but "/", and [ ] for a set`}
		}
	}
	info, err := os.Stat(root)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, &Error{What: fmt.Sprintf("source folder %q does not exist", root), Cure: "create it with the handler's module in it, or name another one"}
	}
	if err != nil {
		return nil, fmt.Errorf("reading sources: %w", err)
	}
	resolved, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, fmt.Errorf("reading sources: %w", err)
	}
	w := sourceWalk{root: resolved, exclude: append(exclude[:len(exclude):len(exclude)], alwaysExcluded...)}
	if err := w.folder(resolved, ""); err != nil {
		return nil, fmt.Errorf("reading sources: %w", err)
	}
	if len(w.members) == 0 {
		return nil, &Error{What: fmt.Sprintf("source folder %q has no file", root), Cure: "put the handler's module into it, or check the exclude patterns"}
	}
	sortMembers(w.members)
	return w.members, nil
}

type sourceWalk struct {
	root    string
	exclude []string
	members []member
}

// folder adds the files of dir, whose name in the bundle is prefix.
func (w *sourceWalk) folder(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(prefix, e.Name())
		if matchAny(w.exclude, name) {
			continue
		}
		if err := w.entry(filepath.Join(dir, e.Name()), name, e.Type()); err != nil {
			return err
		}
	}
	return nil
}

func (w *sourceWalk) entry(file, name string, kind fs.FileMode) error {
	if kind&fs.ModeSymlink != 0 {
		target, err := w.resolve(file)
		if err != nil {
			return err
		}
		info, err := os.Stat(target)
		if err != nil {
			return err
		}
		file, kind = target, info.Mode().Type()
	}
	switch {
	case kind.IsDir():
		return w.folder(file, name)
	case kind.IsRegular():
		m, err := newFileMember(name, file)
		if err != nil {
			return err
		}
		w.members = append(w.members, m)
		return nil
	}
	return &Error{What: fmt.Sprintf("%q is neither a file nor a folder", file), Cure: "remove it or exclude it"}
}

// resolve follows a symbolic link that stays inside the root and does not lead back to a folder above itself.
func (w *sourceWalk) resolve(link string) (string, error) {
	target, err := filepath.EvalSymlinks(link)
	if err != nil {
		return "", err
	}
	if !within(target, w.root) {
		return "", &Error{What: fmt.Sprintf("%q is a symbolic link to %q, outside the source folder", link, target), Cure: "copy the file, make it a local package in requirements.txt, or exclude it"}
	}
	if within(link, target) {
		return "", &Error{What: fmt.Sprintf("%q is a symbolic link to the folder it is in, %q", link, target), Cure: "remove it or exclude it"}
	}
	return target, nil
}

func within(file, dir string) bool {
	return file == dir || strings.HasPrefix(file, dir+string(filepath.Separator))
}
