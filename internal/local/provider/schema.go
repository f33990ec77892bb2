package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
)

// kind is a resource type: what it knows, and the calls that it makes.
type kind struct {
	inputs  schema
	outputs []string // properties that the API decides
	tagged  *tagging
	// moves names the outputs that an update changes, which a preview has to call unknown; optional.
	moves func(*call) []string
	// fixed says that a change of any input replaces the resource; optional.
	fixed func(inputs object) bool

	// create sets the call's id as soon as the resource exists, also where it fails after that.
	create func(*call) error
	// read returns the inputs and outputs that the API reports.
	read   func(*call) (object, error)
	update func(*call) error // nil where every change makes a new resource
	delete func(*call) error
}

// schema is the properties that a resource or a nested object takes.
type schema map[string]field

type field struct {
	required bool
	replace  bool   // a change makes a new resource
	json     bool   // a JSON document, equal to any other way of writing it; an object is taken as well
	set      bool   // a list of strings whose order means nothing
	local    bool   // the API does not report it: what was asked for is kept
	sticky   bool   // as local where the API leaves it out, as emulators do
	autoName int    // the longest name that is made where none is given; 0: none is
	def      any    // the value where none is given
	clear    any    // what an update sends where the property is gone
	fields   schema // of a nested object, or of a list of such
}

// properties returns the schema of plain properties of these names.
func properties(names ...string) schema {
	s := schema{}
	for _, n := range names {
		s[n] = field{}
	}
	return s
}

// failures lists what the schema does not know in o, and what is missing.
func (s schema) failures(path string, o resource.PropertyMap) (failures []plugin.CheckFailure) {
	fail := func(name, format string, args ...any) {
		key := resource.PropertyKey(path + name)
		failures = append(failures, plugin.CheckFailure{Property: key, Reason: fmt.Sprintf(format, args...)})
	}
	for _, k := range o.StableKeys() {
		f, ok := s[string(k)]
		switch v := open(o[k]); {
		case resource.IsInternalPropertyKey(k):
		case !ok:
			fail(string(k), "the stand-in AWS provider does not know property %q; it knows %s (install the real provider plugin to use more)",
				path+string(k), strings.Join(slices.Sorted(maps.Keys(s)), ", "))
		case f.fields != nil && v.IsObject():
			failures = append(failures, f.fields.failures(path+string(k)+".", v.ObjectValue())...)
		case f.fields != nil && v.IsArray():
			for i, e := range v.ArrayValue() {
				if e.IsObject() {
					failures = append(failures, f.fields.failures(fmt.Sprintf("%s%s[%d].", path, k, i), e.ObjectValue())...)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if s[name].required && o[resource.PropertyKey(name)].IsNull() {
			fail(name, "missing required property %q", name)
		}
	}
	return failures
}

// known returns what the schema knows of an API's value, without what is empty; where the program gave a value, only
// the properties that it gave, as the rest are the API's defaults.
func (f field) known(v, given any) any {
	switch v := v.(type) {
	case map[string]any:
		m, limits := map[string]any{}, object(nil)
		if g, ok := given.(map[string]any); ok {
			limits = g
		}
		for k, e := range v {
			nested, ok := f.fields[k]
			if _, wanted := limits[k]; f.fields != nil && (!ok || limits != nil && !wanted) {
				continue
			}
			if e = nested.known(e, limits[k]); f.fields == nil || !empty(e) {
				m[k] = e
			}
		}
		return m
	case []any:
		list, limits := make([]any, len(v)), make([]any, len(v))
		if g, ok := given.([]any); ok && len(g) == len(v) {
			limits = g
		}
		for i, e := range v {
			list[i] = f.known(e, limits[i])
		}
		return list
	}
	return v
}

// equal tells whether two values mean the same to AWS.
func (f field) equal(a, b any) bool {
	if empty(a) && empty(b) || reflect.DeepEqual(a, b) {
		return true
	}
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return ok && f.json && canonical(a) == canonical(b)
	case map[string]any:
		b, ok := b.(map[string]any)
		same := ok && f.fields != nil
		for k, nested := range f.fields {
			same = same && nested.equal(a[k], b[k])
		}
		return same
	case []any:
		b, ok := b.([]any)
		return ok && f.set && len(a) == len(b) && !slices.ContainsFunc(a, func(e any) bool { return !slices.Contains(b, e) })
	}
	return false
}

// canonical returns the one way to write a JSON document, and other text as it is.
func canonical(text string) string {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return text
	}
	data, err := json.Marshal(v)
	if err != nil {
		return text
	}
	return string(data)
}

// empty tells whether AWS makes no difference between v and nothing.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, e := range v {
			if nested, ok := e.(map[string]any); !ok || !empty(nested) {
				return false
			}
		}
		return true
	}
	return false
}

// difference returns how new inputs differ from old ones, as paths, and the names of the properties concerned.
func (k *kind) difference(olds, news resource.PropertyMap) (paths map[string]plugin.PropertyDiff, changed map[string]bool) {
	paths, changed = map[string]plugin.PropertyDiff{}, map[string]bool{}
	fixed := k.fixed != nil && k.fixed(plain(news))
	for name, f := range k.inputs {
		key := resource.PropertyKey(name)
		before, after := open(olds[key]), open(news[key])
		if !after.ContainsUnknowns() && f.equal(plainValue(before), plainValue(after)) {
			continue
		}
		// archives and assets compare by their hashes here, wherever they are
		diff := resource.PropertyMap{key: before}.Diff(resource.PropertyMap{key: after})
		for path, d := range plugin.NewDetailedDiffFromObjectDiff(diff, true) {
			if f.replace || fixed {
				d = d.ToReplace()
			}
			paths[path], changed[name] = d, true
		}
	}
	return paths, changed
}
