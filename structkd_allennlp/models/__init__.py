"""
Importing any of these models has AllenNLP check the archives that it loads, and tell apart the
transformers that it caches.
"""

from structkd_allennlp.common.archive_files import have_allennlp_check_archives
from structkd_allennlp.common.transformers_cache import have_allennlp_tell_transformers_apart

have_allennlp_check_archives()
have_allennlp_tell_transformers_apart()
