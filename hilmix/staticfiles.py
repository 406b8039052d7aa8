"""Static files under names that carry their content's hash, so browsers may keep them for ever."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStorage(CompressedManifestStaticFilesStorage):
    """Rewrites `import … from "./x.js"` as well: our modules are served without a bundler."""

    support_js_module_import_aggregation = True
