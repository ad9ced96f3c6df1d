package schema

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"unicode/utf16"
)

// specPage is where the codes are explained.
const specPage = "docs/spec.md#codes"

// The parts of SARIF 2.1.0 that are written.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID            Code        `json:"id"`
		Short         sarifText   `json:"shortDescription"`
		Full          sarifText   `json:"fullDescription"`
		Help          sarifText   `json:"help"`
		Configuration sarifConfig `json:"defaultConfiguration"`
		Properties    sarifTags   `json:"properties"`
	}
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifConfig struct {
		Level Severity `json:"level"`
	}
	sarifTags struct {
		Tags []string `json:"tags"`
	}
	sarifResult struct {
		Rule      Code            `json:"ruleId"`
		Index     int             `json:"ruleIndex"`
		Level     Severity        `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifLocation struct {
		Physical struct {
			Artifact sarifArtifact `json:"artifactLocation"`
			Region   *sarifRegion  `json:"region,omitempty"`
		} `json:"physicalLocation"`
	}
	sarifArtifact struct {
		URI  string `json:"uri"`
		Base string `json:"uriBaseId,omitempty"`
	}
	sarifRegion struct {
		Line    int        `json:"startLine"`
		Col     int        `json:"startColumn,omitempty"`
		Snippet *sarifText `json:"snippet,omitempty"`
	}
)

// WriteSARIF writes a log of SARIF 2.1.0, as code scanning takes it. version is
// that of rsm. Paths should be relative to the root of the repository.
func (ps Problems) WriteSARIF(w io.Writer, version string) error {
	run := sarifRun{ColumnKind: "utf16CodeUnits", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "rsm", Version: version}
	index := map[Code]int{}
	for i, info := range Codes() {
		index[info.Code] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, info.sarif())
	}
	for _, p := range ps {
		run.Results = append(run.Results, p.sarif(index[p.Code]))
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func (info CodeInfo) sarif() sarifRule {
	return sarifRule{
		ID: info.Code, Short: sarifText{Text: info.Means}, Full: sarifText{Text: info.Means},
		Help:          sarifText{Text: info.Do + " See " + specPage + ".", Markdown: "**" + info.Means + "** " + info.Do},
		Configuration: sarifConfig{Level: info.Severity}, Properties: sarifTags{Tags: []string{"redis", "rsm"}},
	}
}

func (p Problem) sarif(index int) sarifResult {
	result := sarifResult{Rule: p.Code, Index: index, Level: p.severity(), Message: sarifText{Text: p.sentence()}}
	var at sarifLocation
	at.Physical.Artifact = sarifPlace(p.File)
	if p.Line > 0 {
		at.Physical.Region = &sarifRegion{Line: p.Line, Col: p.column()}
		if p.Source != "" {
			at.Physical.Region.Snippet = &sarifText{Text: p.Source}
		}
	}
	result.Locations = []sarifLocation{at}
	return result
}

// sentence is the path, the message and the hint, a line each at most.
func (p Problem) sentence() string {
	text := p.Message
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	if p.Hint != "" {
		text += "\n" + p.Hint
	}
	return text
}

// column counts as SARIF does, in UTF-16 units.
func (p Problem) column() int {
	if p.Col < 1 || p.Col > len(p.Source)+1 {
		return p.Col
	}
	return len(utf16.Encode([]rune(p.Source[:p.Col-1]))) + 1
}

// sarifPlace is the URI of a file: relative to the root of the sources, or a
// whole one.
func sarifPlace(file string) sarifArtifact {
	uri := url.URL{Path: filepath.ToSlash(file)}
	if filepath.IsAbs(file) {
		uri.Scheme = "file"
		return sarifArtifact{URI: uri.String()}
	}
	return sarifArtifact{URI: uri.String(), Base: "%SRCROOT%"}
}
