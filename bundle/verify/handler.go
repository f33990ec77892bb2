package verify

import (
	"path"
	"slices"
	"strings"
)

// handler looks for the handler's module and, as far as can be told without running it, for its function. Lambda
// imports what stands before the last dot, slashes read as dots.
func (j *judge) handler() {
	if j.o.Handler == "" {
		return
	}
	dot := strings.LastIndexByte(j.o.Handler, '.')
	if dot < 1 || dot == len(j.o.Handler)-1 {
		j.error(Finding{Code: "HANDLER", Got: "handler " + quoted(j.o.Handler), Want: "MODULE.FUNCTION, for instance main.handler"})
		return
	}
	modulePath, function := strings.ReplaceAll(j.o.Handler[:dot], ".", "/"), j.o.Handler[dot+1:]
	file := j.moduleFile(modulePath)
	if file == "" {
		j.error(Finding{Code: "HANDLER", Got: "handler " + quoted(j.o.Handler) + " and no module " + quoted(j.o.Handler[:dot]), Want: j.handlerCandidates(modulePath, function)})
		return
	}
	module := j.Modules[file]
	switch {
	case module == nil:
		j.remark(Finding{Code: "HANDLER-UNSEEN", File: file, Got: "a module whose top level is not read here", Want: "a function " + quoted(function)})
	case slices.Contains(module.Async, function):
		j.error(Finding{Code: "HANDLER", File: file, Got: "async def " + function + ", whose coroutine Lambda cannot return", Want: "a plain function"})
	case slices.Contains(module.Names, function):
	case module.Open:
		j.remark(Finding{Code: "HANDLER-UNSEEN", File: file, Got: "a module that binds names when it runs", Want: "a function " + quoted(function)})
	default:
		j.error(Finding{Code: "HANDLER", File: file, Got: "a module without " + quoted(function) + " at its top level", Want: "a function of this name"})
	}
}

// moduleFile returns the file that is imported for a module.
func (j *judge) moduleFile(module string) string {
	if init := path.Join(module, "__init__.py"); j.has(init) {
		return init
	}
	for _, suffix := range suffixes(j.t) {
		if j.has(module + suffix) {
			return module + suffix
		}
	}
	return ""
}

// handlerCandidates names the modules that have such a function, or the file that was looked for.
func (j *judge) handlerCandidates(module, function string) string {
	var found []string
	for name, m := range j.Modules {
		if slices.Contains(m.Names, function) {
			found = append(found, strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(name, ".py"), "/__init__"), "/", ".")+"."+function)
		}
	}
	slices.Sort(found)
	if len(found) > 0 {
		return "one that is there: " + strings.Join(found[:min(3, len(found))], ", ")
	}
	return module + ".py or " + module + "/__init__.py in the bundle"
}
