package reconcile

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"rsm/schema"
)

// The field of a role's drift when it is not known what it runs with.
const fieldSettings = "settings"

// diffTold lists what differs between the settings that a role of rsm runs with
// and those of the spec, setting by setting; runs is empty when it cannot be told.
func diffTold(name string, runs, want Told) []Drift {
	if runs.Settings() != nil {
		if drifts := diffSettings(name, settingsOf(runs), settingsOf(want)); len(drifts) > 0 {
			return drifts
		}
	}
	return []Drift{{name, fieldSettings, "others", "those of the spec", Differs}}
}

// diffSettings lists the settings that differ.
func diffSettings(name string, have, want map[string]string) []Drift {
	var drifts []Drift
	for _, key := range changedKeys(have, want) {
		drifts = append(drifts, Drift{name, key, have[key], orNone(want[key]), Differs})
	}
	return drifts
}

// settingsOf flattens a role into its settings that are not empty, by path:
// "listeners.main.read" is "replica".
func settingsOf(told Told) map[string]string {
	list := map[string]string{}
	switch {
	case told.Proxy != nil:
		flattenInto(list, "", told.Proxy.Proxy)
		flattenInto(list, "cluster", told.Proxy.Cluster)
		flattenInto(list, "zone", told.Proxy.Zone)
		flattenInto(list, "zones", told.Proxy.Zones)
	case told.Agent != nil:
		flattenInto(list, "", told.Agent.Agent)
		flattenInto(list, "access", told.Agent.Access)
	case told.Dispatcher != nil:
		flattenInto(list, "", told.Dispatcher.Dispatcher)
		flattenInto(list, "access", told.Dispatcher.Access)
	case told.Worker != nil:
		flattenInto(list, "", told.Worker.Worker)
		flattenInto(list, "access", told.Worker.Access)
		flattenInto(list, "env", told.Worker.Env)
		list["handlers and commands"] = brief(schema.DigestOf([]byte(strings.Join(told.Worker.Trusted, ""))))
	}
	return list
}

func flattenInto(list map[string]string, path string, value any) {
	flatten(list, path, reflect.ValueOf(value))
}

func flatten(list map[string]string, path string, v reflect.Value) {
	text, plain := "", true
	switch v.Kind() {
	case reflect.Pointer:
		if plain = v.IsNil(); !plain {
			flatten(list, path, v.Elem())
		}
	case reflect.Struct:
		plain = false
		for i := range v.NumField() {
			flatten(list, under(path, lowerFirst(v.Type().Field(i).Name)), v.Field(i))
		}
	case reflect.Map:
		plain = false
		for _, key := range v.MapKeys() {
			flatten(list, under(path, key.String()), v.MapIndex(key))
		}
	case reflect.Slice:
		if raw, ok := v.Interface().(json.RawMessage); ok {
			text = string(raw)
			break
		}
		if plain = v.Type().Elem().Kind() == reflect.String; plain {
			text = fmt.Sprint(v.Interface())
			break
		}
		for i := range v.Len() {
			flatten(list, under(path, elementName(v.Index(i), i)), v.Index(i))
		}
	default:
		text = fmt.Sprint(v.Interface())
	}
	if plain && !v.IsZero() {
		list[path] = text
	}
}

// elementName is the name of an element that has one, else where it stands.
func elementName(v reflect.Value, i int) string {
	if v.Kind() == reflect.Struct {
		if name := v.FieldByName("Name"); name.IsValid() {
			return name.String()
		}
	}
	return strconv.Itoa(i)
}

func under(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// lowerFirst writes the name of a Go field as the spec does: MaxLag is maxLag, and
// TLS is tls.
func lowerFirst(name string) string {
	if name == strings.ToUpper(name) {
		return strings.ToLower(name)
	}
	return strings.ToLower(name[:1]) + name[1:]
}
