"""Fills an account: the same rows for the same seed, moved to the clock's present."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow_provider_wtschat.simulator.history import ODD_TEXTS
from airflow_provider_wtschat.simulator.instants import DAY, HOUR, SECOND, instant_text
from airflow_provider_wtschat.simulator.lives import first_response, opens
from airflow_provider_wtschat.simulator.lives import times as add_up
from airflow_provider_wtschat.simulator.phones import formatted_phone
from airflow_provider_wtschat.simulator.records import Contact, Record, Session, member_id

if TYPE_CHECKING:
    from airflow_provider_wtschat.simulator.tables import Table
    from airflow_provider_wtschat.simulator.world import World

_DEPARTMENTS = ("Geral", "Vendas", "Suporte", "Financeiro")
_AGENTS = (
    "Ana Souza",
    "Bruno Lima",
    "Carla Dias",
    "Diego Alves",
    "Elisa Rocha",
    "Fábio Nunes",
    "Gabi Melo",
    "Hugo Reis",
)
_TAGS = ("ETIQUETA A", "ETIQUETA B", "Cliente", "Lead", "VIP", "Inadimplente", "Newsletter")
_FIRST = ("Alice", "Bento", "Cecília", "Davi", "Eloá", "Felipe", "Gael", "Helena", "Isis", "João", "Laura", "Miguel")
_LAST = ("Almeida", "Barbosa", "Cardoso", "Duarte", "Esteves", "Ferreira", "Gomes", "Martins", "Oliveira", "Pereira")
_CHANNELS: tuple[dict[str, Any], ...] = (
    {"type": "CloudAPI_WhatsApp", "_code": "CLOUDAPI_WHATSAPP", "number": "+55|1133330001", "name": "Matriz"},
    {"type": "CloudAPI_WhatsApp", "_code": "CLOUDAPI_WHATSAPP", "number": "+55|1133330002", "name": "Filial"},
    {"type": "ZAPI_WhatsApp", "_code": "ZAPI_WHATSAPP", "number": "+55|1133330003", "name": "Loja"},
    {"type": "Instagram", "_code": "INSTAGRAM", "number": None, "name": "@exemplo"},
)
_TEMPLATES: tuple[dict[str, Any], ...] = (
    {"name": "modelo_exemplo", "text": "Olá {{1}}", "params": ("1",)},
    {
        "name": "lembrete_pagamento",
        "text": "Olá {{nome}}, sua fatura de {{valor}} vence hoje.",
        "params": ("nome", "valor"),
    },
    {"name": "boas_vindas", "text": "Seja bem-vindo!", "params": ()},
    {"name": "alerta_airflow", "text": "Alerta: {{1}}", "params": ("1",)},
    {"name": "catalogo", "text": "Veja o catálogo, {{1}}", "params": ("1",), "fileType": "DOCUMENT"},
    {"name": "em_revisao", "text": "Olá {{1}}", "params": ("1",), "status": "InRevision"},
    {"name": "modelo_antigo", "text": "Antigo {{1}}", "params": ("1",), "archived": True},
    {"name": "aviso_filial", "text": "Aviso: {{1}}", "params": ("1",), "channel": 1},
    {"name": "codigo_acesso", "text": "Seu código: {{1}}", "params": ("1",), "type": ["AUTHENTICATION"]},
)
_CONTACT_FIELDS = (
    ("cpf", "CPF", "STRING"),
    ("nascimento", "Nascimento", "DATE"),
    ("limite", "Limite", "FLOAT"),
    ("pontos", "Pontos", "INTEGER"),
    ("ativo", "Ativo", "BOOLEAN"),
    ("plano", "Plano", "SINGLESELECT"),
    ("interesses", "Interesses", "MULTISELECT"),
    ("dados", "Dados", "GROUP"),
)
_PANEL_FIELDS = (
    ("cliente-71", "Cliente", "SINGLESELECT"),
    ("observador", "Observadores", "MULTISELECT"),
    ("prazo", "Prazo", "DATETIME"),
    ("valor", "Valor", "FLOAT"),
    ("grupo", "Grupo", "GROUP"),
)
_OPTIONS = {
    "plano": ("Básico", "Completo"),
    "interesses": ("Livros", "Música", "Viagens"),
    "cliente-71": ("Empresa A", "Empresa B"),
    "observador": ("Pessoa A", "Pessoa B"),
}
_OPEN_FOR = 2 * DAY
_LATELY = 0.75
"""How long conversations that are not over have been going on, in the mean, but for those that were forgotten."""
_FILES = (
    ("catalogo", ".pdf", "application/pdf", "PDF", b"%PDF-1.4 ok"),
    ("foto", ".png", "image/png", "IMAGE", b"\x89PNG\r\n\x1a\n"),
    ("recado", ".ogg", "audio/ogg", "AUDIO", b"OggS"),
)
_PANELS: tuple[dict[str, Any], ...] = (
    {"title": "Suporte", "key": "IS", "type": "MANAGEMENT", "steps": ("Novos Suporte", "Em Tratativa N1", "Tratado")},
    {"title": "Vendas", "key": "VD", "type": "SALES", "steps": ("Lead", "Proposta", "Negociação", "Fechado")},
    {"title": "Pós-venda", "key": "PV", "type": "SALES", "steps": ("Entrada", "Contato", "Concluído")},
)


def populate(world: World) -> None:
    """Fill an empty account."""
    _Seeder(world).fill()


class _Seeder:
    def __init__(self, world: World) -> None:
        self.world = world
        self.options = world.options
        self.rng = Random(f"{self.options.seed}/seed")
        self.now = world.now()
        self.span = max(round(self.options.spread_days * DAY), 10 * SECOND)

    def fill(self) -> None:
        self._agents_and_departments()
        self._channels()
        self._tags()
        self._templates_and_chatbots()
        self._custom_fields("CONTACT", None, _CONTACT_FIELDS)
        self._sequences_and_portfolios()
        self._contacts()
        self._sessions()
        self._memberships()
        self._panels()
        self._cards()
        self._files_and_webhooks()

    def new_id(self) -> str:
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    def moment(self) -> int:
        """Return an instant in the account's past; some of them in whole hundredths of a second, as in real answers."""
        at = self.now - SECOND - self.rng.randrange(self.span)
        return at - at % 10_000 if self.rng.random() < 0.1 else at

    def arrival(self, *, done: bool) -> int:
        """Return an instant at which a conversation begins, most of them in office hours.

        :param done: whether it is over; most of those that are not began lately, the others were forgotten.
        """
        lately = not done and self.rng.random() < _LATELY
        for _ in range(6):
            at = self.now - SECOND - int(self.rng.expovariate(1 / _OPEN_FOR)) % self.span if lately else self.moment()
            if opens(at) == at or self.rng.random() < 0.05:
                break
        return at

    def add(self, table: Table[Record], **data: Any) -> Record:
        created = self.moment()
        updated = min(self.now, created + self.rng.randrange(30 * DAY))
        row = Record(self.world.next_seq(), self.new_id(), created, updated, data)
        table.put(row)
        return row

    def name(self, plain: str) -> str:
        odd = self.options.odd_characters
        return f"{plain} {self.rng.choice(ODD_TEXTS)}" if odd and self.rng.random() < odd else plain

    def _agents_and_departments(self) -> None:
        world = self.world
        for position, name in enumerate(_AGENTS):
            phone = f"+55|1195555{position:04}"
            self.add(
                world.agents,
                companyId=world.company_id,
                userId=self.new_id(),
                name=name,
                shortName=name.split()[0],
                email=f"{name.split()[0].lower().replace('á', 'a')}@example.com",
                phoneNumber=phone,
                phoneNumberFormatted=formatted_phone(phone),
                profile="ADMIN" if position == 0 else "AGENT",
                isOwner=position == 0,
                availability="AVAILABLE" if position % 3 else "UNAVAILABLE",
                _status="Active",
            )
        for position, name in enumerate(_DEPARTMENTS):
            members = [agent for place, agent in enumerate(world.agents) if place % len(_DEPARTMENTS) == position]
            self.add(
                world.departments,
                companyId=world.company_id,
                directLinks=None,
                name=name,
                isDefault=position == 0,
                distribuitionEnabled=False,
                restrictionType="NONE",
                distributionConfig={
                    "expirationIsEnabled": False,
                    "maximumDurationInMinutes": 0,
                    "inactivityTimeInMinutes": 0,
                },
                description=None,
                isPrivate=False,
                _agents={agent["userId"]: (True, agent["isOwner"]) for agent in members},
                _scope="ALL",
                _channels=(),
            )

    def _channels(self) -> None:
        for kind in _CHANNELS:
            human = formatted_phone(kind["number"]) or kind["name"]
            self.add(
                self.world.channels,
                active=True,
                # The contract's spelling; a session's channelType has the same in upper case.
                type=kind["type"],
                number=kind["number"],
                numberFormatted=formatted_phone(kind["number"]),
                identity={
                    "humanId": human,
                    "platform": "Instagram" if kind["number"] is None else "WhatsApp",
                    "provider": None,
                    "providerVariable": None,
                    "pictureUrl": None,
                    "displayName": kind["name"],
                },
                _code=kind["_code"],
                _official=kind["_code"] != "ZAPI_WHATSAPP",
            )

    def _tags(self) -> None:
        for position, name in enumerate(_TAGS):
            self.add(self.world.tags, name=name, color=None if position == 6 else ("BLUE_300", "RED_500")[position % 2])

    def _templates_and_chatbots(self) -> None:
        world = self.world
        channels = list(world.channels)
        category = self.new_id()
        for model in _TEMPLATES:
            self.add(
                world.templates,
                active=True,
                archived=model.get("archived", False),
                channelId=channels[model.get("channel", 0)].id,
                name=model["name"],
                text=model["text"],
                footerText=None,
                status=model.get("status", "Approved"),
                channelType="CLOUDAPI_WHATSAPP",
                # A list, as in the contract, though single values have been seen printed.
                type=model.get("type", ["TEMPLATE", "TEMPLATE_CAMPAIGN"]),
                internalName=None,
                fileType=model.get("fileType", "UNDEFINED"),
                quickReplyAlias=None,
                rejectedDescription=None,
                categoryId=category,
                categoryName="UTILITY" if "lembrete" in model["name"] else "MARKETING",
                _params=model["params"],
            )
        for position, name in enumerate(("Triagem", "Pesquisa de satisfação", "Boas-vindas")):
            self.add(
                world.chatbots,
                key=self.new_id(),
                companyId=world.company_id,
                archived=False,
                name=name,
                type="Reactive" if position == 0 else "Automation",
                channelIds=[channels[0].id],
                defaultDepartmentId=next(iter(world.departments)).id,
                publishStatus="NOT_PUBLISHED" if position == 2 else "READY",
                automationUsage=["Api", "Manual"] if position else None,
            )

    def _custom_fields(self, entity: str, scope_id: str | None, models: tuple[tuple[str, str, str], ...]) -> None:
        group = self.new_id()
        for position, (key, name, kind) in enumerate(models):
            options = [{"id": self.new_id(), "name": option} for option in _OPTIONS.get(key, ())]
            field = self.add(
                self.world.custom_fields,
                parentId=None if kind == "GROUP" else group,
                type=kind,
                entityType=entity,
                scopeId=scope_id,
                companyId=self.world.company_id,
                name=name,
                key=key,
                position=position,
                required=False,
                visible=True,
                isValueRange=False,
                options=options,
            )
            if kind == "GROUP":
                self.world.custom_fields.delete(field.id)
                self.world.custom_fields.put(Record(field.seq, group, field.created, field.updated, field.data))

    def _sequences_and_portfolios(self) -> None:
        world = self.world
        for name in ("Sequência Exemplo", "Recuperação", "Pós-venda"):
            self.add(world.sequences, active=True, companyId=world.company_id, name=name, enabled=True)
        for position, name in enumerate(("Carteira A", "Carteira B")):
            department = list(world.departments)[position]
            self.add(
                world.portfolios,
                active=True,
                companyId=world.company_id,
                name=name,
                automaticAttribution=False,
                expirationDurationInMonths=0,
                type="SINGLE" if position else "MULTIPLE",
                _departments=[{"departmentId": department.id, "userIds": list(department["_agents"])}],
            )

    def _contacts(self) -> None:
        rng, world = self.rng, self.world
        tag_ids = [tag.id for tag in world.tags]
        contacts = []
        for position in range(self.options.contact_count):
            created = self.moment()
            plain = f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"
            chance = rng.random()
            contacts.append(
                Contact(
                    seq=world.next_seq(),
                    id=self.new_id(),
                    created=created,
                    updated=min(self.now, created + rng.randrange(20 * DAY)) if chance < 0.5 else created,
                    name=self.name(plain),
                    phone=f"+55|{11 + position // 10_000_000}9{position % 10_000_000 + 10_000_000:08}"[:15],
                    email=None if chance < 0.4 else f"pessoa{position}@example.com",
                    instagram=f"pessoa{position}" if chance > 0.95 else None,
                    tag_ids=(rng.choice(tag_ids),) if chance < 0.3 else (),
                    status="ACTIVE" if chance < 0.94 else "ARCHIVED" if chance < 0.98 else "BLOCKED",
                    origin=("CREATED_BY_USER", "CREATED_FROM_HUB", "IMPORTED")[position % 3],
                    custom_fields={"cpf": f"{position:011}", "pontos": position % 50} if chance < 0.25 else {},
                )
            )
        world.contacts.load(contacts)

    def _sessions(self) -> None:
        options, rng, world = self.options, self.rng, self.world
        names, weights = list(options.statuses), list(accumulate(options.statuses.values()))
        contacts = list(world.contacts)
        departments = [department.id for department in world.departments]
        members = [list(department["_agents"]) for department in world.departments]
        channels = [channel.id for channel in world.channels]
        bots = [bot.id for bot in world.chatbots]
        history = world.history
        history.members = members
        tie = self.now - self.span // 3
        made: list[Session] = []
        first: dict[str, int] = {}
        for position in range(options.sessions):
            status = names[0] if len(names) == 1 else rng.choices(names, cum_weights=weights)[0]
            chance = rng.random()
            limit, shared = self.now, None
            if position < options.tie:
                created = tie - 2 * HOUR if position < options.tie_created else tie - SECOND - rng.randrange(2 * HOUR)
                limit = shared = tie - SECOND if position < options.tie_created else tie
            else:
                created = self.arrival(done=status == "COMPLETED")
            seq = world.next_seq()
            life = history.live(seq, created, limit, status)
            ends, spoken = life.turns[-1], [one for one in life.said if one.by != "note"]
            said_in = [one.at for one in spoken if one.by == "contact"]
            said_out = [one.at for one in spoken if one.by != "contact"]
            interaction = shared or spoken[-1].at
            updated = (
                tie
                if shared
                else min(max(interaction, ends.at, life.said[-1].at) + rng.randrange(2 * SECOND), self.now)
            )
            place = None if ends.department is None else ends.department % len(departments)
            agents = members[place or 0]
            utm = history.utm(seq, life)
            contact = contacts[rng.randrange(len(contacts))].id
            first[contact] = min(created, first.get(contact, created))
            session = Session(
                seq=seq,
                id=self.new_id(),
                created=created,
                updated=updated,
                start=created,
                interaction=interaction,
                end=ends.at if status == "COMPLETED" else None,
                status=status,
                contact_id=contact,
                # Templates and the chatbot belong to the first channel.
                channel_id=channels[
                    0 if life.campaign or life.with_bot or chance < 0.4 else int(chance * 10) % len(channels)
                ],
                number=f"{_day(created)}{position % 50_000:05}",
                department_id=None if place is None else departments[place],
                user_id=None if ends.agent is None else agents[ends.agent % len(agents)],
                title=self.name("Pedido") if options.odd_characters else None,
                utm=utm,
                origin="Campanha" if life.campaign else "Contato",
                times=add_up(life.turns),
                first_response=first_response(life),
                bot_id=bots[0] if life.with_bot else None,
                unread=0 if status == "COMPLETED" else sum(at > max(said_out, default=0) for at in said_in),
                last_text=history.text(seq, len(spoken) - 1, spoken[-1].by),
                last_out=said_out[-1] if said_out else None,
                last_in=said_in[-1] if said_in else None,
                type="GROUP" if chance > 0.97 and not life.campaign else "INDIVIDUAL",
            )
            history.seeded(session, limit)
            made.append(session)
        world.sessions.load(made)
        for contact_id, at in first.items():
            known = world.contacts.get(contact_id)
            if known is not None and known.created > at:  # nobody is written to before there is a record of them
                world.contacts.put(replace(known, created=at))

    def _memberships(self) -> None:
        world = self.world
        contacts = list(world.contacts)
        for sequence in world.sequences:
            for contact in self.rng.sample(contacts, min(25, len(contacts))):
                at = self.moment()
                world.record(
                    world.sequence_contacts,
                    at=at,
                    row_id=member_id(sequence.id, contact.id),
                    active=True,
                    companyId=world.company_id,
                    sequenceId=sequence.id,
                    contactId=contact.id,
                    origin="USER_SINGLE",
                    addedByUserId=next(iter(world.agents))["userId"],
                    addedByChatbotId=None,
                    _lastAddedAt=at,
                )
        for portfolio in world.portfolios:
            for contact in self.rng.sample(contacts, min(20, len(contacts))):
                at = self.moment()
                newest = world.contacts.get(contact.id) or contact
                world.contacts.put(newest.changed(newest.updated, portfolio_ids=(*newest.portfolio_ids, portfolio.id)))
                world.record(
                    world.portfolio_contacts,
                    at=at,
                    row_id=member_id(portfolio.id, contact.id),
                    active=True,
                    companyId=world.company_id,
                    portfolioId=portfolio.id,
                    contactId=contact.id,
                )

    def _panels(self) -> None:
        world = self.world
        for model in _PANELS:
            panel_id, at = self.new_id(), self.moment()

            def part(panel_id: str = panel_id, at: int = at, **data: Any) -> Record:
                shared = {"companyId": world.company_id, "panelId": panel_id}
                return Record(world.next_seq(), self.new_id(), at, at, {**shared, **data})

            last = len(model["steps"]) - 1
            steps = [
                part(archived=False, position=2.0 * place + 4, title=title, isInitial=place == 0, isFinal=place == last)
                for place, title in enumerate(model["steps"])
            ]
            tags = [
                part(name=name, nameColor="rgb(255, 255, 255)", bgColor=color)
                for name, color in (("P/ Alta", "rgb(255, 0, 0)"), ("P/ Baixa", "rgb(0, 128, 0)"))
            ]
            reasons = [part(description=text) for text in ("Preço", "Prazo")] if model["type"] == "SALES" else []
            world.record(
                world.panels,
                at=at,
                row_id=panel_id,
                companyId=world.company_id,
                archived=False,
                scope="COMPANY",
                departmentIds=[],
                userId=None,
                title=model["title"],
                description=None,
                thumbnailId=None,
                key=model["key"],
                type=model["type"],
                autoLossDays=30 if model["type"] == "SALES" else None,
                _steps=tuple(steps),
                _tags=tuple(tags),
                _lost_reasons=tuple(reasons),
                _last_number=0,
            )
            self._custom_fields("PANEL", panel_id, _PANEL_FIELDS)

    def _cards(self) -> None:
        world, rng = self.world, self.rng
        panels = list(world.panels)
        users = [agent["userId"] for agent in world.agents]
        talks = {session.contact_id: session.id for session in world.sessions}
        for position in range(self.options.cards):
            panel = world.panels.get(panels[position % len(panels)].id)
            if panel is None:
                continue
            contact = world.contacts.pick(rng)
            number = panel["_last_number"] + 1
            world.panels.put(panel.changed(panel.updated, _last_number=number))
            chance = rng.random()
            reasons = panel["_lost_reasons"]
            status = "OPEN" if chance < 0.7 else "WON" if chance < 0.8 else "LOST" if chance < 0.9 else "ARCHIVED"
            card = self.add(
                world.cards,
                companyId=world.company_id,
                panelId=panel.id,
                stepId=(rng.choice(panel["_steps"][:-1]) if status == "OPEN" else panel["_steps"][-1]).id,
                position=float(number),
                title=self.name(f"Chamado {number}"),
                description=None,
                key=f"{panel['key']}-{number}",
                number=number,
                tagIds=[panel["_tags"][0].id] if chance < 0.3 else [],
                sessionId=talks[contact.id] if contact and contact.id in talks else None,
                monetaryAmount=round(chance * 1000, 2) if chance > 0.5 else None,
                responsibleUserId=users[position % len(users)] if chance > 0.2 else None,
                contactIds=[contact.id] if contact else [],
                customFields={"cliente-71": "Empresa A"} if chance > 0.4 else {},
                metadata={},
                status=status,
                _due=self.now + round((chance - 0.5) * 20 * DAY) if chance > 0.6 else None,
                _lost_reason=rng.choice(reasons).id if status == "LOST" and reasons else None,
            )
            if chance < 0.25:
                self.add(
                    world.card_notes,
                    companyId=world.company_id,
                    panelId=panel.id,
                    cardId=card.id,
                    userId=users[0],
                    text="Anotação de exemplo",
                    files=[],
                    isFromPublicApi=False,
                )

    def _files_and_webhooks(self) -> None:
        world = self.world
        for name, extension, mime_type, kind, content in _FILES:
            self.add(
                world.files,
                companyId=world.company_id,
                userId=next(iter(world.agents))["userId"],
                name=name,
                extension=extension,
                mimeType=mime_type,
                type=kind,
                key=f"files/{name}{extension}",
                size=len(content),
                _bytes=content,
            )
        world.history.files = tuple(world.files)
        self.add(
            world.webhooks,
            companyId=world.company_id,
            name="Integração",
            url="https://example.com/hook",
            enabled=True,
            _events=("SESSION_NEW", "SESSION_UPDATE", "SESSION_COMPLETE"),
        )


def _day(at: int) -> str:
    return instant_text(at)[:10].replace("-", "")
