"""Static files under names that carry their content's hash, so browsers may keep them for ever."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage as WhitenoiseStorage

CSS_URLS = WhitenoiseStorage.patterns[0][1][:2]  # without its third pattern, source maps, which are not collected
JS_IMPORTS = WhitenoiseStorage._js_module_import_aggregation_patterns[1]


class HashedStorage(WhitenoiseStorage):
    """Rewrites `import … from "./x.js"` in our own modules as well: they are served without a bundler.

    Browser packages under `vendor/` are bundles that import nothing: what looks like an import or a source map in
    one is left alone, because the file it names need not be there.
    """

    patterns = (("*.css", CSS_URLS), ("elicitation/*.js", JS_IMPORTS), ("js/*.js", JS_IMPORTS))
