package target

import "fmt"

// Version is a dotted pair as in GLIBC_2.26.
type Version struct{ Major, Minor int }

// Less says whether v is older than w.
func (v Version) Less(w Version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}

// String returns "2.26".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// OS is the operating system of a runtime: what a shared object may ask of it.
type OS struct {
	// Name is "Amazon Linux 2" or "Amazon Linux 2023".
	Name string
	// Glibc is the C library's version: no symbol version above it can be resolved.
	Glibc Version
}

// The operating systems of Lambda's Python runtimes: Amazon Linux 2 up to python3.11, Amazon Linux 2023 from
// python3.12 on (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html; glibc from the release notes of each).
var (
	AmazonLinux2    = OS{Name: "Amazon Linux 2", Glibc: Version{2, 26}}
	AmazonLinux2023 = OS{Name: "Amazon Linux 2023", Glibc: Version{2, 34}}
)
