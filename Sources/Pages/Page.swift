import Foundation

/// One self-contained HTML page: headings, tables, figures. Readable without colour, on a screen and on paper.
struct Page {
  private var body = ""
  private var figures = 0
  let title: String
  init(title: String) { self.title = title }

  mutating func heading(_ text: String) { body += "<h2>\(escaped(text))</h2>\n" }
  mutating func subheading(_ text: String) { body += "<h3>\(escaped(text))</h3>\n" }
  mutating func paragraph(_ text: String) { body += "<p>\(escaped(text))</p>\n" }

  /// - Parameter rows: as wide as `head`. Cells that start like numbers stand right.
  mutating func table(_ head: [String], _ rows: [[String]], caption: String = "") {
    body += "<div class=\"scroll\"><table>"
    if !caption.isEmpty { body += "<caption>\(escaped(caption))</caption>" }
    body += "<thead><tr>" + head.map { "<th>\(escaped($0))</th>" }.joined() + "</tr></thead>\n<tbody>\n"
    for r in rows {
      body += "<tr>" + r.map { c in
        let number = c.wholeMatch(of: /-|-?[0-9.]+(e[-+][0-9]+)?( [kMGTP]?B)?/) != nil
        return "<td\(number ? " class=\"n\"" : "")>\(escaped(c))</td>"
      }.joined() + "</tr>\n"
    }
    body += "</tbody></table></div>\n"
  }

  /// Figures drawn one after the other stand side by side where there is room.
  mutating func row(_ pictures: [(svg: String, caption: String)]) {
    if pictures.isEmpty { return }
    body += "<div class=\"row\">\n"
    for p in pictures {
      figures += 1
      body += "<figure>\(unique(p.svg))<figcaption><b>\(figures)</b> \(escaped(p.caption))</figcaption></figure>\n"
    }
    body += "</div>\n"
  }

  /// Names inside a picture that no other picture of the page has.
  private func unique(_ svg: String) -> String {
    let n = "f\(figures)-"
    return svg.replacing(/\bid=(["'])/) { "id=\($0.output.1)\(n)" }.replacing(/href=(["'])#/) { "href=\($0.output.1)#\(n)" }
      .replacing(/url\(#/, with: "url(#\(n)")
  }

  var html: String {
    """
    <!DOCTYPE html>
    <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
    <title>\(escaped(title))</title>
    <style>
    body { font: 15px/1.45 system-ui, "Helvetica Neue", Arial, sans-serif; color: #111; background: #fff; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
    h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #888 } h3 { font-size: 1rem; margin-bottom: .3rem }
    table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }
    caption { text-align: left; padding-bottom: .3rem }
    th { text-align: left; border-bottom: 1px solid #111; vertical-align: bottom } th, td { padding: .15rem .7rem .15rem 0 } td { border-bottom: 1px solid #ddd; vertical-align: top } td.n { text-align: right }
    .scroll { overflow-x: auto; margin: .6rem 0 }
    .row { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem }
    figure { margin: .6rem 0; max-width: 40rem } figure svg { width: 100%; height: auto } figcaption { font-size: .85rem; color: #333 }
    @media print { body { max-width: none; margin: 0; font-size: 10pt } .row { grid-template-columns: 1fr 1fr } figure, tr { break-inside: avoid } h2, h3 { break-after: avoid } .scroll { overflow: visible } }
    </style></head><body>
    <h1>\(escaped(title))</h1>
    \(body)</body></html>

    """
  }
}

func escaped(_ text: String) -> String {
  text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;").replacingOccurrences(of: ">", with: "&gt;")
    .replacingOccurrences(of: "\"", with: "&quot;")
}
