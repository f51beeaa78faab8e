"""The panel of scenarios: what machines are asked to do, from now on or until a time."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets

from twin.live import panel_base as base
from twin.live.panel_choices import Choices
from twin.live.panel_table import Table


class ScenariosPanel(base.Panel):
    """Activates and deactivates scenarios on one, some or all machines."""

    title = "Scenarios"

    def build(self) -> Any:
        self.scenario = ipywidgets.Dropdown()
        self.machines = ipywidgets.SelectMultiple(rows=5)
        self.until = ipywidgets.Text(placeholder="open, +2h, a time", continuous_update=False)
        self.everywhere = ipywidgets.Checkbox(value=False, description="all machines", indent=False)
        self.everywhere.add_class("twin-all-machines")
        self.about = ipywidgets.HTML(layout=base.WIDE)
        self.scenario.observe(self._on_scenario, "value")
        self.active = Table(
            self._on_click, "twin-active-scenarios", empty="No scenario is active.",
            columns=[
                {"key": "machine", "label": "Machine", "kind": "text"},
                {"key": "scenario", "label": "Active scenario", "kind": "text"},
                {"key": "buttons", "label": "", "kind": "buttons"},
            ],
        )  # fmt: skip
        activate = base.button("Activate", "twin-activate", "from the next tick on", self.activate, "primary")
        deactivate = base.button("Deactivate", "twin-deactivate", "end it on these machines", self.deactivate)
        return base.column(
            base.row(base.labelled("Scenario", self.scenario, "twin-scenario")),
            self.about,
            base.row(
                base.labelled("Machines (Ctrl: several)", self.machines, "twin-scenario-machines"),
                ipywidgets.VBox(
                    [base.row(base.labelled("Until (UTC)", self.until, "twin-until")), self.everywhere],
                    layout=ipywidgets.Layout(flex="1 1 150px", min_width="0"),
                ),
                align="flex-start",
            ),
            base.row(activate, deactivate),
            self.answer,
            self.active,
        )

    def refresh(self, choices: Choices) -> None:
        super().refresh(choices)
        base.offer(self.scenario, choices.scenarios)
        base.offer(self.machines, choices.machines)
        if not self.machines.value:
            self.machines.value = tuple(value for _, value in choices.machines[:1])

    @base.guarded
    def _on_scenario(self, change: Any) -> None:
        text = self.choices.about.get(change["new"], "")
        self.about.value = f'<div class="twin-note">{html.escape(text)}</div>'

    def select(self, machine: str) -> None:
        """Choose a machine."""
        self.machines.value = (machine,)

    def _chosen(self) -> Any:
        return "all" if self.everywhere.value else list(self.machines.value)

    @base.guarded
    def activate(self) -> Any:
        """Activate the chosen scenario on the chosen machines."""
        until = base.moment(self.until.value, self.session.now_us, "until")
        return self.asked(self.session.activate(self.scenario.value, machines=self._chosen(), until=until))

    @base.guarded
    def deactivate(self) -> Any:
        """Deactivate the chosen scenario on the chosen machines."""
        return self.asked(self.session.deactivate(self.scenario.value, machines=self._chosen()))

    @base.guarded
    def _on_click(self, row: str, action: str) -> None:
        machine, scenario = row.split("\n", 1)
        self.asked(self.session.deactivate(scenario, machines=[machine]))

    def draw_rows(self) -> None:
        """Show what is active now."""
        self.active.show(
            [
                {
                    "id": f"{machine['machine']}\n{scenario}",
                    "machine": machine["machine"],
                    "scenario": scenario,
                    "buttons": [["end", "End", "deactivate it on this machine"]],
                }
                for machine in self.session.fleet()
                for scenario in machine["scenarios"]
            ]
        )
