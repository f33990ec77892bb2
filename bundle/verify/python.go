package verify

import (
	"regexp"
	"strings"
)

// Module is the top level of a Python file, seen without running it.
type Module struct {
	// Names are bound at the top level, inside its if, try and with blocks too; Async are those that are coroutines.
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
	fromImport = regexp.MustCompile(`^from\s+\S+\s+import\s+(.*)`)
	plainName  = regexp.MustCompile(`^\w+$`)
	assigned   = regexp.MustCompile(`^[\w\s,()\[\]*]+?(?::[^=]*)?=(?:[^=]|$)`)
	chained    = regexp.MustCompile(`([\w\s,()\[\]*]+?)(?::[^=]*)?=(?:[^=]|$)`)
	word       = regexp.MustCompile(`[^\W\d]\w*`)
	dynamic    = regexp.MustCompile(`\bexec\s*\(|\bglobals\s*\(|\bsetattr\s*\(\s*sys\.modules|\bvars\s*\(\s*\)|\blocals\s*\(|\bfrom\s+\S+\s+import\s*\(?\s*\*|\bdef\s+__getattr__`)
)

// parseModule collects the names that a module's top level binds. It errs to the side of a name too many.
func parseModule(text string) *Module {
	m := &Module{}
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
			m.Names = append(m.Names, d[2])
			if d[1] != "" {
				m.Async = append(m.Async, d[2])
			}
			continue
		}
		for _, part := range strings.Split(statement, ";") {
			m.bind(strings.TrimSpace(part))
		}
	}
	return m
}

// bind adds the names that one simple statement binds, or the header of a block.
func (m *Module) bind(statement string) {
	if d := fromImport.FindStringSubmatch(statement); d != nil {
		m.imported(strings.Trim(d[1], "() \t"))
		return
	}
	if rest, ok := strings.CutPrefix(statement, "import "); ok {
		m.imported(rest)
		return
	}
	if _, target, ok := strings.Cut(statement, " as "); ok { // with … as name, except … as name
		m.Names = append(m.Names, word.FindAllString(target, -1)...)
	}
	if rest, ok := strings.CutPrefix(statement, "for "); ok {
		target, _, _ := strings.Cut(rest, " in ")
		m.Names = append(m.Names, word.FindAllString(target, -1)...)
	}
	for _, keyword := range []string{"if ", "elif ", "else:", "try:", "finally:"} { // a block on its header's own line
		if rest, ok := strings.CutPrefix(statement, keyword); ok {
			_, body, _ := strings.Cut(" :"+rest, ":")
			if _, after, ok := strings.Cut(body, ":"); ok {
				body = after
			}
			if body = strings.TrimSpace(body); body != "" && body != statement {
				m.bind(body)
			}
			return
		}
	}
	if assigned.MatchString(statement) {
		for _, target := range chained.FindAllStringSubmatch(statement, -1) {
			m.Names = append(m.Names, word.FindAllString(target[1], -1)...)
		}
	}
	if i := strings.Index(statement, ":="); i > 0 {
		if names := word.FindAllString(statement[:i], -1); len(names) > 0 {
			m.Names = append(m.Names, names[len(names)-1])
		}
	}
}

// imported adds the names of "a.b, c as d".
func (m *Module) imported(list string) {
	for _, item := range strings.Split(list, ",") {
		name := strings.TrimSpace(item)
		if _, as, ok := strings.Cut(name, " as "); ok {
			name = strings.TrimSpace(as)
		}
		if name, _, _ = strings.Cut(name, "."); plainName.MatchString(name) {
			m.Names = append(m.Names, name)
		}
	}
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
