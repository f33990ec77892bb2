package verify

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"sample-python-arm64-lambda/bundle/target"
)

// ofRuntime are the packages that Lambda's Python runtimes have themselves
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html, and what those require).
var ofRuntime = []string{"boto3", "botocore", "s3transfer", "jmespath", "urllib3", "python-dateutil", "six"}

// distributions judges the packages by what they say of themselves.
func (j *judge) distributions() {
	byName := map[string]*Dist{}
	for i := range j.Dists {
		d := &j.Dists[i]
		name := normalName(d.Name)
		if other := byName[name]; other != nil {
			j.remark(Finding{Code: "DIST-TWICE", File: d.Dir, Package: d.Name, Version: d.Version, Got: other.Dir + " too", Want: "one version of a package"})
		}
		byName[name] = d
		j.tags(d)
		if !allows(d.RequiresPython, j.t.Runtime.Python+".99") && !allows(d.RequiresPython, j.t.Runtime.Python+".0") {
			j.error(Finding{Code: "REQUIRES-PYTHON", File: d.Dir, Package: d.Name, Version: d.Version, Got: "a package for Python " + d.RequiresPython, Want: "one for Python " + j.t.Runtime.Python})
		}
		if slices.Contains([]string{"boto3", "botocore"}, name) {
			j.remark(Finding{Code: "RUNTIME-HAS", File: d.Dir, Package: d.Name, Version: d.Version, Got: "a package that the runtime has too, in a version of its own", Want: "to ship it only where the version matters"})
		}
	}
	j.requirements(byName)
}

// tags judges the tags of a wheel: one of them has to fit. Which glibc a platform tag names is of no matter here: the
// symbols that the files need decide.
func (j *judge) tags(d *Dist) {
	if len(d.Tags) == 0 || slices.ContainsFunc(d.Tags, func(tag string) bool { return fits(tag, j.t) }) {
		return
	}
	got := strings.Join(d.Tags[:min(2, len(d.Tags))], ", ")
	j.error(Finding{Code: "WHEEL-TAG", File: d.Dir, Package: d.Name, Version: d.Version, Got: "a wheel for " + got, Want: "one for " + j.t.Runtime.Name + " on " + j.t.Machine()})
}

// fits says whether a wheel with a tag can be installed for the target
// (https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/).
func fits(tag string, t target.Target) bool {
	parts := strings.Split(tag, "-")
	if len(parts) != 3 {
		return false
	}
	return slices.ContainsFunc(strings.Split(parts[0], "."), func(python string) bool {
		return slices.ContainsFunc(strings.Split(parts[1], "."), func(abi string) bool { return fitsPython(python, abi, t) })
	}) && slices.ContainsFunc(strings.Split(parts[2], "."), func(platform string) bool { return fitsPlatform(platform, t) })
}

func fitsPython(python, abi string, t target.Target) bool {
	exact := "3" + minor(t)
	switch {
	case abi != "none" && abi != "abi3" && abi != "cp"+exact:
		return false
	case python == "py3" || python == "py"+exact || python == "cp"+exact || python == "cp3":
		return true
	case strings.HasPrefix(python, "py3"):
		return atMost(python[3:], minor(t))
	case strings.HasPrefix(python, "cp3"):
		return abi == "abi3" && atMost(python[3:], minor(t))
	}
	return false
}

func atMost(a, b string) bool {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	return errX == nil && errY == nil && x <= y
}

func fitsPlatform(platform string, t target.Target) bool {
	if platform == "any" {
		return true
	}
	return (strings.HasPrefix(platform, "manylinux") || strings.HasPrefix(platform, "linux_")) && strings.HasSuffix(platform, "_"+t.Machine())
}

// markerEnvironment is what markers see on the target
// (https://packaging.python.org/en/latest/specifications/dependency-specifiers/#environment-markers). The last number of
// the Python version, and the kernel, are AWS's to change.
func markerEnvironment(t target.Target, micro string) map[string]string {
	full := t.Runtime.Python + "." + micro
	return map[string]string{
		"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": t.Machine(),
		"platform_python_implementation": "CPython", "implementation_name": "cpython", "implementation_version": full,
		"python_version": t.Runtime.Python, "python_full_version": full, "platform_release": "", "platform_version": "", "extra": "",
		"os.name": "posix", "sys.platform": "linux", "platform.machine": t.Machine(), // as METADATA of old has them
		"platform.python_implementation": "CPython", "python_implementation": "CPython",
	}
}

// requirements finds what the packages require and the bundle lacks, also of the extras by which they require each other.
func (j *judge) requirements(byName map[string]*Dist) {
	type wish struct{ name, extra string }
	var todo []wish
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		todo = append(todo, wish{name, ""})
	}
	done := map[wish]bool{}
	for most := 100 + 10*len(j.Dists); len(todo) > 0 && len(done) < most; { // real packages ask for a few extras each
		w := todo[0]
		todo = todo[1:]
		d := byName[w.name]
		if done[w] || d == nil {
			continue
		}
		done[w] = true
		for _, line := range d.Requires {
			r, err := parseRequirement(line)
			if err != nil || !j.holds(r.marker, w.extra) || w.extra != "" && j.holds(r.marker, "") {
				continue
			}
			j.required(d, line, r, byName[r.name])
			for _, extra := range r.extras {
				todo = append(todo, wish{r.name, extra})
			}
		}
	}
}

// holds evaluates a marker on the target; where the answer hangs on a number of the Python version that AWS may change,
// it is no.
func (j *judge) holds(marker, extra string) bool {
	for _, micro := range []string{"0", "99"} {
		env := markerEnvironment(j.t, micro)
		env["extra"] = extra
		if ok, err := evaluate(marker, env); err != nil || !ok {
			return false
		}
	}
	return true
}

// required judges one requirement of a package against what the bundle has.
func (j *judge) required(d *Dist, line string, r requirement, has *Dist) {
	finding := Finding{File: d.Dir, Package: d.Name, Version: d.Version, Want: quotedName(strings.TrimSpace(line))}
	switch {
	case has == nil && slices.Contains(ofRuntime, r.name):
	case has == nil:
		finding.Code, finding.Got = "REQUIRES", "no "+r.name
		j.error(finding)
	case !allows(r.spec, has.Version):
		finding.Code, finding.Got = "REQUIRES-VERSION", has.Name+" "+has.Version
		j.remark(finding)
	}
}
