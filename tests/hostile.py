"""Texts that mean something to somebody: to SQL, HTML, scripts, templates, shells, spreadsheets, paths, terminals. More than five hundred.

Posted as names, attributes and reasons they have to come out as what they are: text.
"""

from itertools import product

_SCRIPTS = ("window.pwned=1", "fetch('/pwned')", "document.title='pwned'", "top.pwned=1")
_AROUND = (
    "<script>{}</script>", "</script><script>{}</script>", "<img src=x onerror={}>", '"><img src=x onerror={}>', "'><svg onload={}>",
    "<svg><script>{}</script></svg>", "<svg><animate onbegin={} attributeName=x dur=1s>", "<body onload={}>", "<iframe src=javascript:{}>",
    "<a href=javascript:{}>x</a>", "javascript:{}", "<math><mtext></table><img src=x onerror={}>", "<details open ontoggle={}>",
    "<input autofocus onfocus={}>", "<video><source onerror={}></video>", "<style>@import'x'</style><img src=x onerror={}>",
    "<template><script>{}</script></template>", "--><script>{}</script>", "]]><script>{}</script>", "</title><script>{}</script>",
    "</textarea><script>{}</script>", "' onmouseover={} x='", '" autofocus onfocus={} x="', "`{}`", "${{{}}}", "{{{{{}}}}}",
    "{{{{constructor.constructor('{}')()}}}}", "<object data=javascript:{}>", "<meta http-equiv=refresh content=0;url=javascript:{}>",
    "<link rel=stylesheet href=javascript:{}>", "<form action=javascript:{}><button>x</form>", "<x onclick={}>x", "\\x3cscript\\x3e{}",
    "\\u003cscript\\u003e{}\\u003c/script\\u003e", "&lt;script&gt;{}&lt;/script&gt;", "<scr<script>ipt>{}</script>",
    "<SCRIPT>{}</SCRIPT >", "<script\t>{}</script\n>", "<img/src=x/onerror={}>", "<div hx-get=/pwned hx-trigger=load hx-on::load={}>",
    "<div hx-on:click={} hx-trigger=load>", "<div data-hx-get=/pwned data-hx-trigger=load>{}</div>", "data:text/html,<script>{}</script>",
)  # fmt: skip
_SQL = ("' OR 1=1--", "'; DROP TABLE worker;--", "\" OR \"\"=\"", "1; SELECT pg_sleep(9)", "\\'; DELETE FROM task;--", "%' --", "') UNION SELECT 1--",
        "'||(SELECT version())||'", "0x27204f52", "admin'/*", "*/ OR 1=1 /*", "`; DROP", "$$; DROP", "E'\\\\'", ":name", "%(name)s", "%s", "?")  # fmt: skip
_TEMPLATES = ("{{7*7}}", "{% for x in [] %}", "{# #}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{{config}}", "{{''.__class__}}", "{0}", "{0.__class__}", "%(a)s", "%x",
              "{{request.application.__globals__}}", "@(1+1)", "[[${7*7}]]", "{php}echo 1{/php}")  # fmt: skip
_PATHS = ("../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd%00.png", "file:///etc/passwd", "//evil.example", "http://169.254.169.254/", "C:\\x", "~root", "....//",
          "%2e%2e%2f", "..%c0%af", "\\\\host\\share")  # fmt: skip
_CELLS = ("=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", '=HYPERLINK("http://x")', "=cmd|'/c calc'!A1")
_LINES = ("a\r\nSet-Cookie: x=1", "a\nb", "a\rb", "\r\n\r\n<html>", "a%0d%0aX: 1", "\u2028", "\u2029", "\x0b", "\x0c", "\x85")
_UNICODE = ("\u202etxt.exe", "\u200b", "\ufeff", "a\u0301" * 40, "\U0001f468\u200d\U0001f469\u200d\U0001f467", "İ", "ß", "ﬀ", "\u0000", "a\u0000b", "\x1b[31mred\x1b[0m",
            "\x1b]0;title\x07", "\x07", "\x7f", "\ud800".encode("utf-8", "replace").decode(), "�", "ᚠᛇᚻ", "田中", "ا" * 20, "\u061c", "　", "🏳️‍🌈")  # fmt: skip
_PROGRAMS = ("$(id)", "`id`", "; id", "| id", "&& id", "%0a id", "() { :;}; id", "\"; id; \"", "null", "undefined", "NaN", "true", "-0", "1e309", "[]", "{}", "[object Object]",
             "__proto__", "constructor", "toString", "hasOwnProperty", "0", "00", "1" * 200, " ", "\t", "a" * 3000, "&amp;", "&#60;", "<", ">", "\"", "'", "\\", "/*", "<!--",
             "<![CDATA[", "<?xml version='1.0'?>", "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>", "*)(uid=*", "${jndi:ldap://x}", "!!python/object:os.system")  # fmt: skip

_MARKUP = tuple(around.format(script) for around, script in product(_AROUND, _SCRIPTS))
_QUOTED = tuple(f"{quote}{text}{quote}" for quote, text in product(("'", '"', "\\", "<b>"), _SQL + _TEMPLATES + _CELLS + _PATHS))
HOSTILE = tuple(dict.fromkeys(_MARKUP + _SQL + _TEMPLATES + _PATHS + _CELLS + _LINES + _UNICODE + _PROGRAMS + _QUOTED))
