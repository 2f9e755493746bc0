"""``report.html``: a run as one page that needs no server and no network.

``collect`` reads a run folder into one value; ``page`` puts it into the template as JSON; the page's own script draws.
"""
