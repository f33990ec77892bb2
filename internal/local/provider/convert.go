package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
)

// object is properties as plain Go values, by their Pulumi names.
type object map[string]any

func (o object) string(key string) string { s, _ := o[key].(string); return s }
func (o object) bool(key string) bool     { b, _ := o[key].(bool); return b }
func (o object) list(key string) []any    { l, _ := o[key].([]any); return l }
func (o object) object(key string) object { m, _ := o[key].(map[string]any); return m }

// with returns a copy over which more is laid.
func (o object) with(more object) object {
	copied := object{}
	maps.Copy(copied, o)
	maps.Copy(copied, more)
	return copied
}

// only returns a copy that has no other keys.
func (o object) only(keys ...string) object {
	copied := o.with(nil)
	maps.DeleteFunc(copied, func(k string, _ any) bool { return !slices.Contains(keys, k) })
	return copied
}

// open returns a value without its secrets' wrappings.
func open(v resource.PropertyValue) resource.PropertyValue {
	switch {
	case v.IsSecret():
		return open(v.SecretValue().Element)
	case v.IsObject():
		m := resource.PropertyMap{}
		for k, e := range v.ObjectValue() {
			m[k] = open(e)
		}
		return resource.NewProperty(m)
	case v.IsArray():
		list := make([]resource.PropertyValue, len(v.ArrayValue()))
		for i, e := range v.ArrayValue() {
			list[i] = open(e)
		}
		return resource.NewProperty(list)
	}
	return v
}

// plain returns properties as Go values, secrets opened; archives and assets stay what they are.
func plain(props resource.PropertyMap) object {
	o := object{}
	for k, v := range props {
		if !resource.IsInternalPropertyKey(k) && v.HasValue() {
			o[string(k)] = plainValue(v)
		}
	}
	return o
}

func plainValue(v resource.PropertyValue) any {
	v = open(v)
	if v.IsArchive() || v.IsAsset() || v.IsComputed() {
		return v.V
	}
	return v.Mappable()
}

// fill sets the fields of an AWS SDK input from properties of the same names, the later ones first; encoding/json
// matches names without regard to case.
func fill(input any, props ...object) error {
	all := object{}
	for _, p := range props {
		all = all.with(p)
	}
	maps.DeleteFunc(all, func(_ string, v any) bool { // archives and assets go in as bytes
		_, isArchive := v.(*archive.Archive)
		_, isAsset := v.(*asset.Asset)
		return isArchive || isAsset
	})
	data, err := json.Marshal(all)
	if err == nil {
		err = json.Unmarshal(data, input)
	}
	if err != nil {
		return fmt.Errorf("reading the properties: %w", err)
	}
	return nil
}

// do calls an operation of a service, "iam:GetRole", with parameters by their names in any case, and returns its answer
// with Pulumi's names.
func (c *clients) do(ctx context.Context, operation string, parameters ...object) (object, error) {
	service, name, _ := strings.Cut(operation, ":")
	method := reflect.ValueOf(c.services[service]).MethodByName(name)
	input := reflect.New(method.Type().In(1).Elem())
	if err := fill(input.Interface(), parameters...); err != nil {
		return nil, err
	}
	results := method.Call([]reflect.Value{reflect.ValueOf(ctx), input})
	if err, failed := results[1].Interface().(error); failed {
		return nil, err
	}
	answer, _ := flatten(results[0]).(map[string]any)
	return answer, nil
}

// flatten returns an AWS SDK output as plain values with Pulumi's names; what is not set is left out.
func flatten(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return flatten(v.Elem())
		}
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return t.UTC().Format(time.RFC3339)
		}
		m := map[string]any{}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "ResultMetadata" {
				if e := flatten(v.Field(i)); e != nil && e != "" {
					m[propertyName(f.Name)] = e
				}
			}
		}
		return m
	case reflect.Map:
		m := map[string]any{}
		for _, k := range v.MapKeys() {
			m[k.String()] = flatten(v.MapIndex(k))
		}
		return m
	case reflect.Slice:
		if data, ok := v.Interface().([]byte); ok {
			return string(data)
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = flatten(v.Index(i))
		}
		return list
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Float32, reflect.Float64:
		return v.Float()
	case reflect.Int, reflect.Int32, reflect.Int64:
		return float64(v.Int())
	}
	return nil
}

// propertyName returns Pulumi's name of an AWS SDK field: ARN arn, KMSKeyArn kmsKeyArn, KMSMasterKeyID kmsMasterKeyId.
func propertyName(field string) string {
	if name, ok := strings.CutSuffix(field, "ID"); ok {
		field = name + "Id"
	}
	runes := []rune(field)
	for i := range runes {
		if i > 0 && i+1 < len(runes) && unicode.IsLower(runes[i+1]) || unicode.IsLower(runes[i]) {
			break
		}
		runes[i] = unicode.ToLower(runes[i])
	}
	return string(runes)
}
