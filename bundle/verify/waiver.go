package verify

import (
	"fmt"
	"path"
	"strings"
)

// Waiver lets findings of one code pass.
type Waiver struct {
	// Code is the findings' code.
	Code string
	// Glob is matched (path.Match) against the finding's file, or against any of the folders it is in; "*" matches every finding.
	Glob string
}

// ParseWaiver reads CODE:GLOB, for instance "LIBRARY:cv2/*".
func ParseWaiver(text string) (Waiver, error) {
	code, glob, ok := strings.Cut(text, ":")
	if _, known := cures[code]; !ok || !known || glob == "" {
		return Waiver{}, fmt.Errorf("waiver %q is not understood: want CODE:GLOB with one of the codes of docs/verify.md, for instance LIBRARY:cv2/*", text)
	}
	if _, err := path.Match(glob, ""); err != nil {
		return Waiver{}, fmt.Errorf("waiver %q: reading its pattern: %w", text, err)
	}
	return Waiver{Code: code, Glob: glob}, nil
}

// String returns CODE:GLOB.
func (w Waiver) String() string { return w.Code + ":" + w.Glob }

func (w Waiver) matches(f Finding) bool {
	if w.Code != f.Code {
		return false
	}
	if w.Glob == "*" {
		return true
	}
	for name := f.File; name != "." && name != "" && name != "/"; name = path.Dir(name) {
		if ok, _ := path.Match(w.Glob, name); ok {
			return true
		}
	}
	return false
}
