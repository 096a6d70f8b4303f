"""Importing any of these models has AllenNLP check the archives that it loads."""

from structkd_allennlp.common.archive_files import have_allennlp_check_archives

have_allennlp_check_archives()
