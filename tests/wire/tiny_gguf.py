"""Write a tiny llama-architecture GGUF with RANDOM weights (no download, no training).

usage: python tiny_gguf.py OUT.gguf [--seed 0] [--layers 2] [--dim 64] [--ctx 2048]
needs: pip install gguf numpy

The tokenizer tables are hand-written (SentencePiece-style "llama" tokenizer with
byte fallback), so any UTF-8 prompt can be encoded.  Channel 0 of the residual
stream is a constant, and column 0 of the output matrix acts as a per-token bias:
it makes byte/control tokens very unlikely, so that the babble is readable ASCII
words, and it sets how often the end token comes up.
"""

import argparse
import string

import gguf
import numpy as np

WORDS = """
the a of to and in is it you that he was for on are with as his they be at one have this from or had
by hot but some what there we can out other were all your when up use word how said an each she
which do their time if will way about many then them would write like so these her long make thing
see him two has look more day could go come did my sound no most number who over
""".split()  # noqa: SIM905 - a list of strings would hide the words
# ChatML-like, hand-written.  Tools and tool calls are rendered into the prompt; llama.cpp b11549 as built into
# xllamacpp 2026.10.11549 did not force a tool call from it (nor from a stock Qwen template) with tool_choice=required.
TEMPLATE = """\
{%- if tools %}{{- "<|im_start|>system\\n# Tools\\n<tools>\\n" }}{%- for t in tools %}{{- t | tojson }}{{- "\\n" }}
{%- endfor %}{{- "</tools><|im_end|>\\n" }}{%- endif %}
{%- for m in messages %}{{- "<|im_start|>" + m.role + "\\n" }}{%- if m.content %}{{- m.content }}{%- endif %}
{%- if m.tool_calls %}{%- for c in m.tool_calls %}{{- "\\n<tool_call>\\n{\\"name\\": \\"" + c.function.name + "\\", \\"arguments\\": " }}
{{- c.function.arguments | tojson }}{{- "}\\n</tool_call>" }}{%- endfor %}{%- endif %}{{- "<|im_end|>\\n" }}{%- endfor %}
{%- if add_generation_prompt %}{{- "<|im_start|>assistant\\n" }}{%- endif %}"""
T = gguf.TokenType


def vocabulary():
    rows = [
        ("<unk>", 0.0, T.UNKNOWN),
        ("<s>", 0.0, T.CONTROL),
        ("</s>", 0.0, T.CONTROL),
        ("<|im_start|>", 0.0, T.CONTROL),
        ("<|im_end|>", 0.0, T.CONTROL),
    ]
    rows += [(f"<0x{b:02X}>", 0.0, T.BYTE) for b in range(256)]
    rows += [
        (c, -1000.0 - i, T.NORMAL)
        for i, c in enumerate("\u2581" + string.ascii_letters + string.digits + string.punctuation)
    ]
    rows += [("\u2581" + w, -float(i), T.NORMAL) for i, w in enumerate(WORDS)]
    return rows


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--layers", type=int, default=2)
    ap.add_argument("--dim", type=int, default=64)
    ap.add_argument("--heads", type=int, default=4)
    ap.add_argument("--ffn", type=int, default=128)
    ap.add_argument("--ctx", type=int, default=2048)
    ap.add_argument("--eos-bias", type=float, default=2.0, help="higher: shorter answers")
    o = ap.parse_args()
    rng = np.random.default_rng(o.seed)
    rows = vocabulary()
    n_vocab = len(rows)

    w = gguf.GGUFWriter(o.out, "llama")
    w.add_name("tiny-random")
    w.add_context_length(o.ctx)
    w.add_embedding_length(o.dim)
    w.add_block_count(o.layers)
    w.add_feed_forward_length(o.ffn)
    w.add_head_count(o.heads)
    w.add_head_count_kv(o.heads)
    w.add_rope_dimension_count(o.dim // o.heads)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(n_vocab)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    w.add_token_list([r[0] for r in rows])
    w.add_token_scores([r[1] for r in rows])
    w.add_token_types([r[2] for r in rows])
    w.add_unk_token_id(0)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_eot_token_id(4)
    w.add_add_bos_token(True)
    w.add_add_eos_token(False)
    w.add_add_space_prefix(False)
    w.add_chat_template(TEMPLATE)

    def rand(*shape, scale):
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    emb = rand(n_vocab, o.dim, scale=1.0)
    emb[:, 0] = 4.0  # the constant channel
    w.add_tensor("token_embd.weight", emb)
    for i in range(o.layers):
        p = f"blk.{i}."
        w.add_tensor(p + "attn_norm.weight", np.ones(o.dim, np.float32))
        for n in ("attn_q", "attn_k", "attn_v"):
            w.add_tensor(p + n + ".weight", rand(o.dim, o.dim, scale=0.15))
        wo = rand(o.dim, o.dim, scale=0.15)
        wo[0] = 0.0
        w.add_tensor(p + "attn_output.weight", wo)
        w.add_tensor(p + "ffn_norm.weight", np.ones(o.dim, np.float32))
        w.add_tensor(p + "ffn_gate.weight", rand(o.ffn, o.dim, scale=0.15))
        w.add_tensor(p + "ffn_up.weight", rand(o.ffn, o.dim, scale=0.15))
        down = rand(o.dim, o.ffn, scale=0.1)
        down[0] = 0.0
        w.add_tensor(p + "ffn_down.weight", down)
    w.add_tensor("output_norm.weight", np.ones(o.dim, np.float32))
    out = rand(n_vocab, o.dim, scale=0.25)
    for i, (text, _, kind) in enumerate(rows):
        if text == "<|im_end|>":
            out[i, 0] = o.eos_bias
        elif kind == T.NORMAL and len(text) > 1:
            out[i, 0] = 1.5
        elif text in '.,!?"':
            out[i, 0] = 1.0
        else:
            out[i, 0] = -20.0
    w.add_tensor("output.weight", out)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    print(f"{o.out}: {n_vocab} tokens, {o.layers} layers, dim {o.dim}")


if __name__ == "__main__":
    main()
