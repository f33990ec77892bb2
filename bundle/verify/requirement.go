package verify

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	pep440 "github.com/aquasecurity/go-pep440-version"
)

// requirement is a line of Requires-Dist (https://packaging.python.org/en/latest/specifications/dependency-specifiers/).
type requirement struct {
	name   string // normalised
	extras []string
	spec   string // version specifiers; none where it is empty or a URL is named
	marker string
}

var requirementForm = regexp.MustCompile(`^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?\s*(.*)$`)

// errRequirement is a line that is no requirement.
var errRequirement = errors.New("it is not a requirement as the packaging specifications have it")

func parseRequirement(line string) (requirement, error) {
	line, marker, _ := strings.Cut(line, ";")
	m := requirementForm.FindStringSubmatch(line)
	if m == nil {
		return requirement{}, errRequirement
	}
	r := requirement{name: normalName(m[1]), marker: strings.TrimSpace(marker)}
	for _, extra := range strings.Split(m[2], ",") {
		if extra = strings.TrimSpace(extra); extra != "" {
			r.extras = append(r.extras, normalName(extra))
		}
	}
	if r.spec = strings.TrimSpace(m[3]); strings.HasPrefix(r.spec, "@") {
		r.spec = ""
	}
	r.spec = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(r.spec, "("), ")"))
	return r, nil
}

// allows says whether a version meets the specifiers; what cannot be read is met.
func allows(spec, version string) bool {
	if spec == "" {
		return true
	}
	s, err := pep440.NewSpecifiers(spec, pep440.WithPreRelease(true))
	if err != nil {
		return true
	}
	v, err := pep440.Parse(version)
	return err != nil || s.Check(v)
}

// errMarker is a marker that is not of the specified form.
var errMarker = errors.New("its marker is not as the packaging specifications have it")

var markerToken = regexp.MustCompile(`^\s*("[^"]*"|'[^']*'|\(|\)|===|~=|==|!=|<=|>=|<|>|[A-Za-z_.]+)`)

// markerReader evaluates a marker by recursive descent: or, and, comparisons.
type markerReader struct {
	tokens []string
	env    map[string]string
	depth  int
}

// evaluate says whether a marker holds in an environment; an empty one does.
func evaluate(marker string, env map[string]string) (bool, error) {
	if strings.TrimSpace(marker) == "" {
		return true, nil
	}
	r := &markerReader{env: env}
	for rest := marker; strings.TrimSpace(rest) != ""; {
		m := markerToken.FindString(rest)
		if m == "" {
			return false, errMarker
		}
		r.tokens, rest = append(r.tokens, strings.TrimSpace(m)), rest[len(m):]
	}
	value, err := r.any()
	if err == nil && len(r.tokens) > 0 {
		err = errMarker
	}
	return value, err
}

func (r *markerReader) next() string {
	if len(r.tokens) == 0 {
		return ""
	}
	token := r.tokens[0]
	r.tokens = r.tokens[1:]
	return token
}

func (r *markerReader) any() (bool, error) {
	value, err := r.all()
	for err == nil && len(r.tokens) > 0 && r.tokens[0] == "or" {
		r.next()
		var right bool
		right, err = r.all()
		value = value || right
	}
	return value, err
}

func (r *markerReader) all() (bool, error) {
	value, err := r.one()
	for err == nil && len(r.tokens) > 0 && r.tokens[0] == "and" {
		r.next()
		var right bool
		right, err = r.one()
		value = value && right
	}
	return value, err
}

func (r *markerReader) one() (bool, error) {
	const deepest = 100
	if r.depth++; r.depth > deepest {
		return false, errMarker
	}
	left := r.next()
	if left == "(" {
		value, err := r.any()
		if err == nil && r.next() != ")" {
			err = errMarker
		}
		return value, err
	}
	operator := r.next()
	if operator == "not" && r.next() == "in" {
		operator = "not in"
	}
	right := r.next()
	a, aIsVersion, okA := r.operand(left)
	b, bIsVersion, okB := r.operand(right)
	if !okA || !okB {
		return false, errMarker
	}
	if left == "extra" || right == "extra" {
		a, b = normalName(a), normalName(b)
	}
	return compareMarker(a, operator, b, aIsVersion || bIsVersion)
}

// operand returns the value of a token, and whether it is a variable that holds a version.
func (r *markerReader) operand(token string) (value string, isVersion, ok bool) {
	if len(token) >= 2 && (token[0] == '"' || token[0] == '\'') {
		return token[1 : len(token)-1], false, true
	}
	value, ok = r.env[token]
	return value, slices.Contains([]string{"python_version", "python_full_version", "implementation_version"}, token), ok
}

// compareMarker compares as versions where one side is a version, and as text otherwise.
func compareMarker(a, operator, b string, versions bool) (bool, error) {
	switch operator {
	case "in":
		return strings.Contains(b, a), nil
	case "not in":
		return !strings.Contains(b, a), nil
	}
	if versions {
		if v, err := pep440.Parse(a); err == nil {
			if s, err := pep440.NewSpecifiers(operator+b, pep440.WithPreRelease(true)); err == nil {
				return s.Check(v), nil
			}
		}
	}
	switch operator {
	case "==", "===":
		return a == b, nil
	case "!=":
		return a != b, nil
	case "<":
		return a < b, nil
	case "<=":
		return a <= b, nil
	case ">":
		return a > b, nil
	case ">=":
		return a >= b, nil
	}
	return false, errMarker
}
