package verify

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Module is the top level of a Python file, seen without running it.
type Module struct {
	// Names may be bound at the top level, inside its if, try and with blocks too; Async are those that are coroutines.
	Names []string `json:"names,omitempty"`
	Async []string `json:"async,omitempty"`
	// Open says that more names may be bound: by a star import, exec, globals() or a module's __getattr__.
	Open bool `json:"open,omitempty"`
}

func isPython(name string) bool { return strings.HasSuffix(name, ".py") }

// module notes the names of a Python file that no package owns: the handler is one of them.
func (s *scan) module(i int) error {
	f := &s.files[i]
	if s.facts.Files[i].Dist > 0 || f.Size > maxSource {
		return nil
	}
	text, err := readAll(f, maxSource)
	if err != nil {
		return s.damaged(f, err)
	}
	m := parseModule(string(text))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts.Modules[f.Name] = m
	return nil
}

var (
	definition = regexp.MustCompile(`^(async\s+)?(?:def|class)\s+(\w+)`)
	// binding matches statements that can bind a name: imports, headers of blocks, assignments.
	binding = regexp.MustCompile(`^(?:from|import|for|with|async|try|except|else|finally|if|elif|while|match|case)\b|(?:^|[^=!<>])=(?:[^=]|$)`)
	word    = regexp.MustCompile(`[^\W\d]\w*`)
	dynamic = regexp.MustCompile(`\bexec\s*\(|\bglobals\s*\(|\bvars\s*\(\s*\)|\blocals\s*\(|\bsys\.modules\b|\bimport\s*\(?\s*\*|\bdef\s+__getattr__`)
)

// parseModule collects the names that a module's top level may bind: of a statement that can bind any, every name, as
// one too many only keeps a missing handler from being told.
func parseModule(text string) *Module {
	m := &Module{}
	names := map[string]bool{}
	inner := -1 // the indentation of the definition whose body is passed over
	for _, line := range logicalLines(text) {
		m.Open = m.Open || dynamic.MatchString(line)
		statement := strings.TrimLeft(line, " \t\f")
		indent := len(line) - len(statement)
		if inner >= 0 && indent > inner {
			continue
		}
		inner = -1
		if d := definition.FindStringSubmatch(statement); d != nil {
			inner = indent
			names[d[2]] = true
			if d[1] != "" {
				m.Async = append(m.Async, d[2])
			}
			continue
		}
		if binding.MatchString(statement) {
			for _, name := range word.FindAllString(statement, -1) {
				names[name] = true
			}
		}
	}
	m.Names = slices.Sorted(maps.Keys(names))
	return m
}

// logicalLines returns the lines of Python code as its parser sees them: brackets and backslashes join lines, comments
// are gone, and a string is only its quotes.
func logicalLines(text string) []string {
	var (
		lines []string
		line  strings.Builder
		depth int
	)
	text = strings.TrimPrefix(text, "\ufeff")
	for len(text) > 0 {
		switch c := text[0]; {
		case c == '#':
			end := strings.IndexAny(text, "\r\n")
			if end < 0 {
				end = len(text)
			}
			text = text[end:]
			continue
		case c == '"' || c == '\'':
			line.WriteString(`""`)
			text = text[stringLength(text):]
			continue
		case c == '\\' && len(text) > 1 && (text[1] == '\n' || text[1] == '\r'):
			line.WriteByte(' ')
			text = strings.TrimPrefix(text[1:], "\r")
			text = strings.TrimPrefix(text, "\n")
			continue
		case c == '\n' || c == '\r':
			if depth > 0 {
				line.WriteByte(' ')
				break
			}
			if strings.TrimSpace(line.String()) != "" {
				lines = append(lines, line.String())
			}
			line.Reset()
		default:
			switch c {
			case '(', '[', '{':
				depth++
			case ')', ']', '}':
				depth = max(0, depth-1)
			}
			line.WriteByte(c)
		}
		text = text[1:]
	}
	if strings.TrimSpace(line.String()) != "" {
		lines = append(lines, line.String())
	}
	return lines
}

// stringLength returns the length of the string literal that text begins with.
func stringLength(text string) int {
	quote := text[:1]
	if strings.HasPrefix(text, quote+quote+quote) {
		quote = text[:3]
	}
	for i := len(quote); i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case strings.HasPrefix(text[i:], quote):
			return i + len(quote)
		case len(quote) == 1 && text[i] == '\n':
			return i // not closed: the line's end closes it
		}
	}
	return len(text)
}
