local declaration = { authorities = { { name = "ca", subject = "test" } } }

return {
  { "pki.store", "issues what is not there", title = "issue 1 of 1 certificates and keys",
    args = { "/nonexistent/kbrun-store", declaration = declaration },
    again = false }, -- its effect is a directory here, not a fact
  { "pki.store", "nothing is asked for", same = "all 0 are there",
    args = { "/nonexistent/kbrun-store", declaration = { authorities = {} } } },
  { "pki.store", "the declaration has a misspelt part",
    args = { "/nonexistent/kbrun-store", declaration = { authoritys = {} } },
    refuses = "a declaration has no 'authoritys'" },
}
