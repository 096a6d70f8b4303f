"""Package metadata. `requirements.txt` is the complete pinned set that this is tested with."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="structkd_allennlp",
    version="0.1.0",
    description=(
        "An AllenNLP plugin that distils several monolingual sequence taggers "
        "into one small multilingual one, by the structure of their linear-chain CRFs"
    ),
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["structkd_allennlp", "structkd_allennlp.*"]),
    package_data={"structkd_allennlp": ["py.typed", "suite/templates/*", "serving/page/*"]},
    entry_points={"console_scripts": ["structkd = structkd_allennlp.serving.cli:main"]},
    python_requires=">=3.11,<3.13",
    # What the package imports. AllenNLP's own metadata asks for a torch that Python 3.11 can not
    # have, so resolve nothing: `pip install --no-deps -r requirements.txt` first, then this.
    install_requires=[
        "allennlp==2.10.1",
        "allennlp-models==2.10.1",
        # Before, `torch.load` could be made to run code (CVE-2025-32434, CVE-2026-24747).
        "torch>=2.10",
        "transformers>=4.30,<4.46",
        "tokenizers>=0.14",
        "safetensors>=0.4",
        "regex>=2022.1.18",
        "seqeval>=1.2.2",
        "conllu>=6.0",
        "defusedxml>=0.7.1",
        "spacy>=3.8,<3.9",
        "rich>=12.6",
        "filelock>=3.8",
        "Jinja2>=3.1",
        "lmdb>=1.4",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "scipy>=1.11",
        "onnx>=1.17",
        "onnxruntime>=1.20",
        "orjson>=3.10",
        "fastapi>=0.115",
        "uvicorn>=0.30",
        "prometheus_client>=0.20",
    ],
    extras_require={
        # What tags with an exported model, where there is nothing of the above:
        # `pip install -r requirements-serving.txt`, then this with `--no-deps`.
        "serving": [
            "numpy>=1.26",
            "onnxruntime>=1.20",
            "orjson>=3.10",
            "regex>=2022.1.18",
            "tokenizers>=0.14",
            "rich>=12.6",
            # The server.
            "fastapi>=0.115",
            "uvicorn>=0.30",
            "prometheus_client>=0.20",
        ],
        # `--executor ray`; requirements-cluster.txt is what this is tested with.
        "cluster": ["ray[data]>=2.40"],
        # Compiled loops of linear chains on a CPU. Without it they are PyTorch's.
        "fast": ["numba>=0.60"],
        # Other libraries that benchmarks/inference.py measures beside ours, where they are there.
        # Their metadata asks for more than they need here, so install them like the above:
        # `pip install --no-deps pytorch-crf==0.7.2 TorchCRF==1.1.0 torch-struct==0.5 supar==1.1.4`.
        "benchmarks": [
            "pytorch-crf==0.7.2",
            "TorchCRF==1.1.0",
            "torch-struct==0.5",
            "supar==1.1.4",
        ],
    },
    keywords="allennlp nlp sequence-labelling crf knowledge-distillation multilingual",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Text Processing :: Linguistic",
        "Typing :: Typed",
    ],
)
