package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
)

// defaulted lists, in the inputs, those that the program did not give, as bridged providers do.
const defaulted resource.PropertyKey = "__defaults"

// randomDigits is how many are added to a name, as the real provider does.
const randomDigits = 7

// complete adds to the inputs that a program gave the default values and a name, and writes documents as text.
func (k *kind) complete(r plugin.CheckRequest, inputs resource.PropertyMap) (err error) {
	made := []resource.PropertyValue{}
	for _, name := range slices.Sorted(maps.Keys(k.inputs)) {
		f, key := k.inputs[name], resource.PropertyKey(name)
		value := resource.NewPropertyValue(f.def)
		switch given := open(inputs[key]); {
		case f.json && given.IsObject() && !given.ContainsUnknowns():
			text, err := json.Marshal(plainValue(given))
			if err != nil {
				return fmt.Errorf("writing %s as JSON: %w", name, err)
			}
			inputs[key] = secretLike(inputs[key], resource.NewProperty(string(text)))
			continue
		case !given.IsNull():
			continue
		case f.autoName > 0:
			if value, err = makeName(r, key, f.autoName); err != nil {
				return err
			}
		}
		if !value.IsNull() {
			inputs[key] = value
			made = append(made, resource.NewProperty(name))
		}
	}
	inputs[defaulted] = resource.NewProperty(made)
	return nil
}

// secretLike returns v as a secret where like has one.
func secretLike(like, v resource.PropertyValue) resource.PropertyValue {
	if like.ContainsSecrets() {
		return resource.MakeSecret(v)
	}
	return v
}

// makeName returns the name of before where it was made too, else what the stack's autonaming says, else a new one.
func makeName(r plugin.CheckRequest, key resource.PropertyKey, longest int) (resource.PropertyValue, error) {
	switch before, auto := open(r.Olds[key]), r.Autonaming; {
	case before.IsString() && isDefaulted(r.Olds, key):
		return before, nil
	case auto != nil && auto.Mode == plugin.AutonamingModeDisabled:
		return resource.NewNullProperty(), nil
	case auto != nil:
		return resource.NewProperty(auto.ProposedName), nil
	}
	name, err := resource.NewUniqueName(r.RandomSeed, r.Name+"-", randomDigits, longest, nil)
	if err != nil {
		return resource.NewNullProperty(), fmt.Errorf("naming %q: %w", r.Name, err)
	}
	return resource.NewProperty(name), nil
}

func isDefaulted(inputs resource.PropertyMap, key resource.PropertyKey) bool {
	list := inputs[defaulted]
	return list.IsArray() && slices.ContainsFunc(list.ArrayValue(), func(v resource.PropertyValue) bool { return v.V == string(key) })
}

// nameIsFixed tells whether the new resource would have the name of the old one, which has to go first then.
func (k *kind) nameIsFixed(olds, news resource.PropertyMap) bool {
	for name, f := range k.inputs {
		key := resource.PropertyKey(name)
		if f.autoName > 0 && !isDefaulted(news, key) && open(olds[key]).DeepEquals(open(news[key])) {
			return true
		}
	}
	return false
}

// preview returns what is known of the outputs: those of before, none at a create, under the new inputs, and as unknown
// those that change.
func (k *kind) preview(c *call, before, inputs resource.PropertyMap) resource.PropertyMap {
	outputs, moved := before.Copy(), k.outputs
	if before != nil {
		moved = nil
		if k.moves != nil {
			moved = k.moves(c)
		}
	}
	for name := range c.changed {
		delete(outputs, resource.PropertyKey(name))
	}
	for key, v := range inputs {
		if key != defaulted {
			outputs[key] = v
		}
	}
	if k.tagged != nil && (before == nil || c.changed["tags"]) {
		moved = append(slices.Clone(moved), "tagsAll")
	}
	for _, name := range moved {
		if key := resource.PropertyKey(name); before != nil || outputs[key].IsNull() {
			outputs[key] = resource.MakeComputed(resource.NewProperty(""))
		}
	}
	return outputs
}

// state returns the outputs: what the API reports, as the program wrote it where that means the same, secret where it
// gave a secret.
func (k *kind) state(c *call, inputs resource.PropertyMap, api object) resource.PropertyMap {
	outputs := resource.PropertyMap{}
	for _, name := range k.outputs {
		if v := api[name]; v != nil {
			outputs[resource.PropertyKey(name)] = resource.NewPropertyValue(v)
		}
	}
	if k.tagged != nil {
		outputs["tagsAll"] = resource.NewPropertyValue(map[string]any(api.object("tags")))
		api = api.with(object{"tags": c.ownTags(api.object("tags"))})
	}
	for name, f := range k.inputs {
		key := resource.PropertyKey(name)
		given, reported := inputs[key], f.known(api[name], nil)
		if f.local || f.sticky && empty(reported) || !given.IsNull() && f.equal(plainValue(given), reported) {
			if given.HasValue() {
				outputs[key] = given
			}
		} else if !empty(reported) {
			outputs[key] = secretLike(given, resource.NewPropertyValue(reported))
		}
	}
	return outputs
}

// refreshed returns the inputs that would lead to what the API reports. An import has none: all that is reported.
func (k *kind) refreshed(c *call, inputs resource.PropertyMap, api object) resource.PropertyMap {
	result := inputs.Copy()
	api = api.with(object{"tags": c.ownTags(api.object("tags"))})
	for name, f := range k.inputs {
		key := resource.PropertyKey(name)
		given := inputs[key]
		reported := f.known(api[name], plainValue(given))
		switch {
		case f.local, f.sticky && empty(reported), f.equal(plainValue(given), reported):
		case given.IsNull() && len(inputs) > 0 && name != "tags": // the API's default
		case empty(reported):
			delete(result, key)
		default:
			result[key] = secretLike(given, resource.NewPropertyValue(reported))
		}
	}
	return result
}
