"""CSV and readable tables."""
import csv

COLUMNS = ["field", "section", "target", "family", "codec", "bytes", "bits_per_value", "psnr", "max_error_over_range",
           "compress_mb_s", "decompress_mb_s", "memory_mb", "how", "transform", "bound_kept", "failed", "warning"]
RIVALS = ("zfp", "sz3", "sperr")
SHOWN = (*RIVALS, "tthresh")  # TTHRESH bounds no single error: shown, no part of the rule


def write_csv(rows, path):
    with open(path, "w", newline="") as f:
        out = csv.DictWriter(f, COLUMNS, extrasaction="ignore", lineterminator="\n")
        out.writeheader()
        for r in rows:
            out.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in r.items()})


def table(head, rows):
    line = lambda cells: "| " + " | ".join(cells) + " |"
    return "\n".join([line(head), line(["---"] * len(head)), *(line(r) for r in rows)]) + "\n"


def usable(rows, **wanted):
    return [r for r in rows if "failed" not in r and all(r.get(k) == v for k, v in wanted.items())]


def smallest(rows):
    return min(rows, key=lambda r: r["bits_per_value"], default=None)


def names(rows):
    return list(dict.fromkeys(r["field"] for r in rows))


def best_at(rows, field, target, families):
    """Fewest bytes at this PSNR; what a peer needs for a higher target is enough here too (already quantised data)."""
    return smallest([r for r in usable(rows, field=field, section="psnr") if r["family"] in families and r["target"] >= target])


def show(row):
    return f"{row['bits_per_value']:.3f} ({row['codec']})" if row else "-"


def peer_tables(rows, targets, bounds):
    text = ["# Peers: zfp, SZ3, SPERR, TTHRESH, fpzip, blosc2\n"]
    text.append("## Bits per valid value at matched PSNR; best setting of each peer, the best peer in bold\n")
    lines = []
    for field in names([r for r in rows if r["section"] == "psnr"]):
        for target in targets:
            each = {f: best_at(rows, field, target, [f]) for f in SHOWN}
            best = smallest([r for r in each.values() if r])
            lines.append([field, f"{target:g}"] + [f"**{show(r)}**" if r and r is best else show(r) for r in each.values()])
    text.append(table(["field", "dB", *SHOWN], lines))
    text.append("## At an absolute bound (of the range): bits per value, PSNR, largest error / bound\n")
    lines = []
    for r in usable(rows, section="bound"):
        lines.append([r["field"], f"{r['target']:g}", r["codec"], f"{r['bytes']:.0f}", f"{r['bits_per_value']:.3f}",
                      f"{r['psnr']:.2f}", f"{r['max_error_over_range'] / r['target']:.4f}"])
    lines.sort(key=lambda r: (names(rows).index(r[0]), -float(r[1]), int(r[3])))
    text.append(table(["field", "bound", "peer", "bytes", "b/v", "PSNR", "error/bound"], lines))
    text.append("## Lossless, bits per valid value\n")
    lines = [[field] + [show(smallest(usable(rows, field=field, section="lossless", family=f))) for f in ("fpzip", "zfp", "blosc2")]
             for field in names(rows) if usable(rows, field=field, section="lossless")]
    text.append(table(["field", "fpzip", "zfp -R", "blosc2"], lines))
    text.append("## Speed at 80 dB, CPU time on one core, MB/s of float32 input\n")
    lines = [[r["field"], r["codec"], f"{r['bits_per_value']:.3f}", f"{r['psnr']:.2f}", f"{r['compress_mb_s']:.1f}",
              f"{r['decompress_mb_s']:.1f}", f"{r['memory_mb']:.0f}" if "memory_mb" in r else "-"] for r in usable(rows, section="speed")]
    text.append(table(["field", "peer", "b/v", "PSNR", "compress", "decompress", "memory MB"], lines))
    broken = [[r["field"], r["section"], f"{r['target']:g}", r["codec"], str(r["failed"])] for r in rows if "failed" in r]
    if broken:
        text += ["## What failed\n", table(["field", "section", "target", "peer", "why"], broken)]
    return "\n".join(text)


def pareto(rows):
    """Points that no other point beats in both bytes and PSNR; of equal points one."""
    rows = list({(r["bytes"], r["psnr"]): r for r in rows}.values())
    return [r for r in rows if not any(o is not r and o["bytes"] <= r["bytes"] and o["psnr"] >= r["psnr"]
                                       and (o["bytes"], o["psnr"]) != (r["bytes"], r["psnr"]) for o in rows)]


def verdicts(peers, ours, targets, bounds):
    """One line per rule: dict(field, section, target, peer, peer_bits, bits, ratio, psnr, verdict, note)."""
    out = []

    def add(row, peer, verdict, note="", peer_bits=None):
        peer_bits = peer["bits_per_value"] if peer_bits is None else peer_bits
        bits = row.get("bits_per_value")
        out.append(dict(field=row["field"], section=row["section"], target=row["target"], peer=peer["codec"], peer_bits=peer_bits,
                        bits=bits, ratio=bits / peer_bits if bits else None, psnr=row.get("psnr"), verdict=verdict,
                        transform=row.get("transform", ""), note="; ".join(n for n in (note, row.get("warning", "")) if n)))

    for field in names(ours):
        for target in targets:
            peer = best_at(peers, field, target, RIVALS)
            for row in [r for r in ours if r["field"] == field and r["section"] == "psnr" and r["target"] == target]:
                if not peer:
                    continue
                if "failed" in row:
                    add(row, peer, "FAIL", row["failed"])
                    continue
                excess = row["psnr"] - target
                moved = peer["bits_per_value"] + excess * peer["bits_per_db"] if excess < 100 else float("inf")
                note = f"peer at our PSNR {moved:.3f}, ratio {row['bits_per_value'] / moved:.3f}"
                kept = row["bound_kept"] is not False and excess >= -1e-6
                good = row["bits_per_value"] <= peer["bits_per_value"]
                add(row, peer, "PASS" if kept and good else "FAIL", note if kept else f"bound missed by {-excess:.4f} dB")
        for relative in bounds:
            runs = [r for r in ours if r["field"] == field and r["section"] == "bound" and r["target"] == relative]
            good = [r for r in runs if "failed" not in r and r["bound_kept"] is not False
                    and r["max_error_over_range"] <= relative * (1 + 1e-9)]
            for family in ("sperr", "sz3"):
                duels = []  # (passed, ratio, row, peer, note); the hardest one is shown
                for peer in pareto(usable(peers, field=field, section="bound", target=relative, family=family)):
                    enough = [r for r in good if r["psnr"] >= peer["psnr"]]
                    if enough:
                        row = min(enough, key=lambda r: r["bytes"])
                        note = f"peer PSNR {peer['psnr']:.2f}" + (f", asked {row['asked']:.3f} of the bound" if row["asked"] < 1 else "")
                        duels.append((row["bytes"] < peer["bytes"], row["bytes"] / peer["bytes"], row, peer, note))
                    elif runs:
                        row = good[0] if good else runs[0]
                        duels.append((False, 1e9, row, peer, row.get("failed", f"bound missed or PSNR below the peer's {peer['psnr']:.2f}")))
                if duels:
                    passed, _, row, peer, note = min(duels, key=lambda d: (d[0], -d[1]))
                    beaten = f"beats {sum(d[0] for d in duels)} of {len(duels)} settings; " if len(duels) > 1 else ""
                    add(row, peer, "PASS" if passed else "FAIL", beaten + note)
        peer = smallest(usable(peers, field=field, section="lossless", family="fpzip"))
        for row in [r for r in ours if r["field"] == field and r["section"] == "lossless"]:
            if not peer:
                continue
            if "failed" in row:
                add(row, peer, "FAIL", row["failed"])
            else:
                exact = row.get("exact", row["psnr"] > 900)
                add(row, peer, "PASS" if exact and row["bytes"] <= 1.02 * peer["bytes"] else "FAIL",
                    "" if exact else "not exact")
    return out


def verdict_tables(lines, peer_speed, our_speed):
    number = lambda v, form: "-" if v is None else format(v, form)
    text = ["# Alidade against the best peer\n",
            "psnr: no more bytes than the best of zfp, SZ3 and SPERR. bound: fewer bytes at no lower PSNR than SPERR and than SZ3",
            "(each setting of theirs that no other setting beats). lossless: at most 1.02 times fpzip.\n"]
    passed = sum(v["verdict"] == "PASS" for v in lines)
    text.append(f"{passed} of {len(lines)} PASS\n")
    for section in ("psnr", "bound", "lossless"):
        part = [v for v in lines if v["section"] == section]
        if not part:
            continue
        text.append(f"## {section}: {sum(v['verdict'] == 'PASS' for v in part)} of {len(part)}\n")
        text.append(table(["field", "target", "best peer", "b/v", "Alidade b/v", "ratio", "PSNR", "transform", "", "note"], [
            [v["field"], f"{v['target']:g}", v["peer"], f"{v['peer_bits']:.3f}", number(v["bits"], ".3f"), number(v["ratio"], ".3f"),
             number(v["psnr"], ".3f"), str(v["transform"]), v["verdict"], v["note"]] for v in part]))
    if our_speed:
        text.append("## Speed at 80 dB, MB/s of float32 input per CPU second (Alidade: whole process)\n")
        rows = sorted(usable(peer_speed, section="speed") + usable(our_speed, section="speed"), key=lambda r: r["field"])
        text.append(table(["field", "codec", "b/v", "PSNR", "compress", "decompress", "memory MB"], [
            [r["field"], r["codec"], f"{r['bits_per_value']:.3f}", f"{r['psnr']:.2f}", f"{r['compress_mb_s']:.1f}",
             number(r.get("decompress_mb_s"), ".1f"), number(r.get("memory_mb"), ".0f")] for r in rows]))
    return "\n".join(text)
