package main

import (
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// words is what the source of package tasks says of its types beyond what reflection shows.
type words struct {
	of      map[string]string   // comments, by "Type" and "Type.Field"
	choices map[string][]string // the constants of a type of strings, in order
}

// readWords reads the comments and the constants of a package's types. Functions and tests don't matter.
func readWords(folder string) (words, error) {
	w := words{map[string]string{}, map[string][]string{}}
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return w, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return w, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ParseComments)
		if err != nil {
			return w, err
		}
		for _, d := range file.Decls {
			if d, ok := d.(*ast.GenDecl); ok {
				w.declaration(d)
			}
		}
	}
	return w, nil
}

func (w words) declaration(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := spec.Doc
			if len(d.Specs) == 1 {
				doc = d.Doc
			}
			w.of[spec.Name.Name] = plain(doc)
			if s, ok := spec.Type.(*ast.StructType); ok {
				w.fields(spec.Name.Name, s)
			}
		case *ast.ValueSpec:
			w.constant(d.Tok, spec)
		}
	}
}

func (w words) fields(name string, s *ast.StructType) {
	for _, f := range s.Fields.List {
		text := strings.TrimSpace(plain(f.Doc) + " " + plain(f.Comment))
		for _, id := range f.Names {
			w.of[name+"."+id.Name] = text
		}
	}
}

// constant notes a constant of a named type whose value is a text.
func (w words) constant(tok token.Token, spec *ast.ValueSpec) {
	named, ok := spec.Type.(*ast.Ident)
	if tok != token.CONST || !ok {
		return
	}
	for _, v := range spec.Values {
		if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				w.choices[named.Name] = append(w.choices[named.Name], text)
			}
		}
	}
}

// plain is the first paragraph of a comment in one line.
func plain(c *ast.CommentGroup) string {
	if c == nil {
		return ""
	}
	var parser comment.Parser
	text := (&comment.Printer{TextWidth: -1}).Text(parser.Parse(c.Text()))
	paragraph, _, _ := strings.Cut(string(text), "\n\n")
	return strings.TrimSpace(paragraph)
}
