// Package fill holds the functions that templates of specs may call besides those
// of text/template: those of rules and those of handlers are the same.
package fill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Functions are the functions by their names, for text/template and html/template.
// None of them reads anything but its arguments.
func Functions() map[string]any {
	return map[string]any{
		"upper":         func(v any) string { return strings.ToUpper(Text(v)) },
		"lower":         func(v any) string { return strings.ToLower(Text(v)) },
		"join":          join,
		"json":          toJSON,
		"round":         round,
		"humanBytes":    func(v any) string { return Bytes(Number(v)) },
		"humanDuration": humanDuration,
		"default":       orDefault,
		"date":          date,
		"text":          Text,
	}
}

// Text is a value as a person writes it.
func Text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case *float64:
		if v == nil {
			return ""
		}
		return Text(*v)
	case fmt.Stringer:
		return v.String()
	case map[string]any, []any:
		out, _ := toJSON(v)
		return out
	}
	return fmt.Sprint(value)
}

// toJSON writes a value as JSON, on one line.
func toJSON(value any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}

// join puts a separator between the elements of a list.
func join(separator string, list any) (string, error) {
	if list == nil {
		return "", nil
	}
	v := reflect.ValueOf(list)
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		return "", fmt.Errorf("join wants a list, not %T", list)
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = Text(v.Index(i).Interface())
	}
	return strings.Join(parts, separator), nil
}

// round keeps so many digits behind the point, up to 20. What is no number stays.
func round(digits int, value any) string {
	n := Number(value)
	if math.IsNaN(n) {
		return Text(value)
	}
	return strconv.FormatFloat(n, 'f', max(0, min(digits, 20)), 64)
}

// Number reads a value, NaN for what is none.
func Number(value any) float64 {
	v := reflect.ValueOf(value)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	case v.CanFloat():
		return v.Float()
	case v.Kind() == reflect.String:
		if n, err := strconv.ParseFloat(strings.TrimSpace(v.String()), 64); err == nil {
			return n
		}
	}
	return math.NaN()
}

// Bytes writes a number of bytes: 1536 is "1.5 KiB".
func Bytes(n float64) string {
	if math.IsNaN(n) {
		return "-"
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	i := 0
	for math.Abs(n) >= 1023.95 && i < len(units)-1 {
		n /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%.0f B", n)
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}

// humanDuration writes a time.Duration, or a number of seconds.
func humanDuration(value any) string {
	if d, ok := value.(time.Duration); ok {
		return Duration(d)
	}
	n := Number(value)
	if math.IsNaN(n) || math.Abs(n) > math.MaxInt64/1e9 {
		return "-"
	}
	return Duration(time.Duration(n * float64(time.Second)))
}

// Duration writes at most two units: "3d 4h", "5m 10s", "1.5s".
func Duration(d time.Duration) string {
	if d < 0 {
		return "-" + Duration(-d)
	}
	day := 24 * time.Hour
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	d = d.Round(time.Second)
	for _, unit := range []struct {
		big, small         time.Duration
		bigName, smallName string
	}{{day, time.Hour, "d", "h"}, {time.Hour, time.Minute, "h", "m"}, {time.Minute, time.Second, "m", "s"}} {
		if d < unit.big {
			continue
		}
		out := fmt.Sprintf("%d%s", d/unit.big, unit.bigName)
		if rest := d % unit.big / unit.small; rest > 0 {
			out += fmt.Sprintf(" %d%s", rest, unit.smallName)
		}
		return out
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// orDefault is value, or fallback when that is empty.
func orDefault(fallback, value any) any {
	if value == nil || Text(value) == "" {
		return fallback
	}
	return value
}

// date writes a time.Time, RFC 3339 or milliseconds since 1970 by a layout of Go,
// in UTC.
func date(layout string, value any) (string, error) {
	switch v := value.(type) {
	case time.Time:
		return v.UTC().Format(layout), nil
	case string:
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return "", fmt.Errorf("date: %q is no time: RFC 3339 is wanted", v)
		}
		return t.UTC().Format(layout), nil
	}
	if n := Number(value); !math.IsNaN(n) {
		return time.UnixMilli(int64(n)).UTC().Format(layout), nil
	}
	return "", errors.New("date: no time is given")
}
