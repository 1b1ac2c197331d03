# Prints C with comments removed and the contents of strings and character constants blanked, line for line; the names
# in #include lines stay.
BEGIN { state = "code" }
/^[ \t]*#[ \t]*include/ && state == "code" { sub(/\/[\/*].*/, ""); print; next }
{
    out = ""
    n = length($0)
    for (i = 1; i <= n; i++) {
        c = substr($0, i, 1)
        two = substr($0, i, 2)
        if (state == "comment") {
            if (two == "*/") { state = "code"; i++; out = out " " }
        } else if (state == "code") {
            if (two == "/*") { state = "comment"; i++ }
            else if (two == "//") break
            else { if (c == "\"" || c == "'") state = c; out = out c }
        } else {
            if (c == "\\") i++
            else if (c == state) { state = "code"; out = out c }
        }
    }
    print out
}
