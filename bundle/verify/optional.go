package verify

import "path"

// optionals are files that their packages import inside try and do without, by pattern (path.Match). A library that
// they lack is a remark.
var optionals = []struct{ pattern, why string }{
	{"numba/np/ufunc/tbbpool.*.so", "none needed: numba uses another threading layer where Intel TBB is missing (https://numba.readthedocs.io/en/stable/user/threading-layer.html)"},
	{"numba/np/ufunc/omppool.*.so", "none needed: numba uses another threading layer where OpenMP is missing (https://numba.readthedocs.io/en/stable/user/threading-layer.html)"},
}

// optional says why a file can do without a library, or nothing.
func optional(name string) string {
	for _, o := range optionals {
		if ok, _ := path.Match(o.pattern, name); ok {
			return o.why
		}
	}
	return ""
}

// libraryCures say what to do about libraries that are often missing.
var libraryCures = map[string]string{
	"libGL.so.1":          "use opencv-python-headless instead of opencv-python, or add the library to the sources' lib folder",
	"libgomp.so.1":        "add the library of the runtime's own system (package libgomp) to the sources' lib folder: Lambda looks there",
	"libgthread-2.0.so.0": "use opencv-python-headless instead of opencv-python, or add the library to the sources' lib folder",
	"libcrypt.so.1":       "choose a wheel that brings the library (psycopg2-binary, not psycopg2), or add it to the sources' lib folder",
	"libpq.so.5":          "use psycopg2-binary or psycopg[binary], whose wheels bring the library",
}
