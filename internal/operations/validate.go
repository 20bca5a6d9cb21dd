package operations

import "cmp"

// Validate checks a request against what the API is known to take, without calling it.
//
// The error is an [*InvalidError]: a missing field, a wrong type, a value out of bounds or
// not among a closed list of choices, an asset that is not where the API can read it, or a
// breach of one of the [Operation.Rules].
// The warnings are for a person to look at and stop nothing: a field, model, style, voice
// or language that this version doesn't know. There are none beside an error.
//
// Safe for concurrent use. The first call for an operation compiles its schema, which
// takes milliseconds.
func (o Operation) Validate(body []byte) (warnings []Problem, err error) {
	if o.checks == nil {
		return nil, o.invalid(Problem{"", "not made by Lookup or All"})
	}
	request, problem := decode(body)
	if problem != nil {
		return nil, o.invalid(*problem)
	}
	if unusable := unusableNumbers(request); len(unusable) > 0 {
		return nil, o.invalid(unusable...)
	}
	checks := o.checks()
	problems := findings(checks.base, request)
	problems = append(problems, o.assetProblems(request)...)
	problems = append(problems, o.ruleProblems(request, problems)...)
	if len(problems) > 0 {
		return nil, o.invalid(problems...)
	}
	return sorted(findings(checks.strict, request)), nil
}

func (o Operation) invalid(problems ...Problem) *InvalidError {
	return &InvalidError{cmp.Or(o.Name, "no operation"), sorted(problems)}
}
