package reconcile

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"rsm/schema"
)

// The field of a proxy's drift when it is not known what it runs with.
const fieldSettings = "settings"

// diffRole lists what differs between the settings that a proxy runs with and
// those of the spec, setting by setting; runs is nil when it cannot be told.
func diffRole(name string, runs *schema.ProxyRole, want schema.ProxyRole) []Drift {
	var drifts []Drift
	if runs != nil {
		have, wanted := settingsOf(*runs), settingsOf(want)
		all := append(names(have), names(wanted)...)
		slices.Sort(all)
		for _, key := range slices.Compact(all) {
			if have[key] != wanted[key] {
				drifts = append(drifts, Drift{name, key, have[key], orNone(wanted[key]), Differs})
			}
		}
	}
	if len(drifts) == 0 {
		return []Drift{{name, fieldSettings, "others", "those of the spec", Differs}}
	}
	return drifts
}

// settingsOf flattens a role into its settings that are not empty, by path:
// "listeners.main.read" is "replica".
func settingsOf(role schema.ProxyRole) map[string]string {
	list := map[string]string{}
	flatten(list, "", reflect.ValueOf(role.Proxy))
	flatten(list, "cluster", reflect.ValueOf(role.Cluster))
	flatten(list, "zone", reflect.ValueOf(role.Zone))
	flatten(list, "zones", reflect.ValueOf(role.Zones))
	return list
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
		if plain = v.Type().Elem().Kind() == reflect.String; plain {
			text = fmt.Sprint(v.Interface())
			break
		}
		for i := range v.Len() {
			flatten(list, under(path, v.Index(i).FieldByName("Name").String()), v.Index(i))
		}
	default:
		text = fmt.Sprint(v.Interface())
	}
	if plain && !v.IsZero() {
		list[path] = text
	}
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
