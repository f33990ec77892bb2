package bundle

import (
	"fmt"
	"strings"
)

// Error is a failure that a person can mend: what is wrong, and what to do about it.
type Error struct {
	// What says what was got, and what was wanted.
	What string
	// Cure says what to do.
	Cure string
	// Err is the cause, where there is one.
	Err error
}

// Error returns the text, the cause and the cure, each on lines of its own.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.What)
	if e.Err != nil {
		b.WriteString(":\n    " + strings.ReplaceAll(strings.TrimSpace(e.Err.Error()), "\n", "\n    "))
	}
	if e.Cure != "" {
		b.WriteString("\n  cure: " + e.Cure)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// NoWheelError says that a requirement cannot be had as a wheel for the target, so that only the docker builder,
// which compiles inside the target's own image, can provide it.
type NoWheelError struct {
	// Requirement is the package with its version, for instance "uwsgi==2.0.22".
	Requirement string
	// Sdist is true where only a source distribution exists, and building it here compiles for this host; it is
	// false where wheels exist, but none for the target.
	Sdist bool
	// Target is what a wheel was wanted for.
	Target string
	// Detail is what there is instead: uv's hint, or the wheel that was built.
	Detail string
}

// Error names the requirement, what there is and what to do.
func (e *NoWheelError) Error() string {
	what := fmt.Sprintf("%s has no wheel for %s", e.Requirement, e.Target)
	if e.Sdist {
		what = fmt.Sprintf("%s exists only as a source distribution that compiles, so it cannot be built on this host for %s", e.Requirement, e.Target)
	}
	if e.Detail != "" {
		what += "\n    " + e.Detail
	}
	return what + "\n  cure: use the docker builder (builder: docker or auto), which compiles in the target's own image, or choose a version with a wheel for the target"
}
